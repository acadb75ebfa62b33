"""S3, as `modelyard.ports.Store` specifies it: one suite for the fake and the real MinIO."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelyard.api.digest import FileDigest, listing_digest, tree_digest
from modelyard.errors import Conflict, Forbidden, Invalid
from modelyard.ports import ArtifactTree, Usage
from tests.contract.worlds import StoreWorld

TREE = {
    "MLmodel": b"flavors: {}\n",
    "model.json": b"{}" * 1000,
    "code/empty.py": b"",
    "code/Größe & co+100%.txt": b"x",
}


def put_tree(store: StoreWorld, bucket: str, prefix: str) -> str:
    for path, data in TREE.items():
        store.put(bucket, prefix + path, data)
    return f"s3://{bucket}/{prefix}"


def digest_of(tree: dict[str, bytes]) -> str:
    return tree_digest(
        FileDigest(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in tree.items()
    )


async def test_a_bucket_exists_or_not(store: StoreWorld):
    uri = f"s3://{store.own}/risk/fraud/"
    assert await store.store.usage(uri) == Usage(0, 0)
    assert await store.store.usage(f"s3://{store.other}/risk/fraud/") == Usage(0, 0)
    store.drop_bucket(store.own)
    assert await store.store.usage(uri) is None
    await store.store.create_bucket(store.own)
    await store.store.create_bucket(store.own)
    assert await store.store.usage(uri) == Usage(0, 0)


async def test_only_the_own_folder_and_named_buckets_are_touched(store: StoreWorld):
    for call in (
        store.store.create_bucket("elsewhere"),
        store.store.create_bucket(store.other),
        store.store.usage("s3://elsewhere/risk/"),
        store.store.objects("s3://elsewhere/risk/"),
        store.store.digest("s3://elsewhere/risk/"),
        store.store.read("s3://elsewhere/risk/x", 10),
        store.store.delete_prefix("s3://elsewhere/risk/fraud/"),
        store.store.usage(f"s3://{store.own}/"),
        store.store.objects(f"s3://{store.own}/cards/fraud/"),
        store.store.digest(f"s3://{store.own}/riskier/"),
        store.store.read(f"s3://{store.own}/cards/fraud/x", 10),
    ):
        with pytest.raises(Forbidden):
            await call


async def test_usage_counts_only_objects_below_the_prefix(store: StoreWorld):
    uri = put_tree(store, store.own, "risk/fraud/")
    store.put(store.own, "risk/fraud-2/x", b"beside")
    expected = Usage(4, sum(map(len, TREE.values())))
    assert await store.store.usage(uri) == expected
    assert await store.store.usage(uri.rstrip("/")) == expected
    assert await store.store.usage(f"s3://{store.own}/risk/none/") == Usage(0, 0)
    assert await store.store.usage(f"s3://{store.own}/risk") == Usage(5, expected.bytes + 6)


async def test_objects_are_listed_by_relative_path(store: StoreWorld):
    uri = put_tree(store, store.other, "datasets/")
    listed = await store.store.objects(uri)
    assert [(each.path, each.size) for each in listed] == [
        (path, len(TREE[path])) for path in sorted(TREE)
    ]
    assert await store.store.objects(f"s3://{store.other}/none/") == ()
    before = {each.path: each.etag for each in listed}
    store.put(store.other, "datasets/MLmodel", b"flavors: []\n")
    after = {each.path: each.etag for each in await store.store.objects(uri)}
    assert before.pop("MLmodel") != after.pop("MLmodel")
    assert before == after


async def listing_of(store: StoreWorld, uri: str) -> str:
    """Return the digest of the current listing below a prefix."""
    return listing_digest(
        (each.path, each.size, each.etag) for each in await store.store.objects(uri)
    )


async def test_the_digest_is_that_of_every_byte_and_path(store: StoreWorld):
    uri = put_tree(store, store.own, "risk/fraud/model/")
    listing = await listing_of(store, uri)
    expected = ArtifactTree(digest_of(TREE), sum(map(len, TREE.values())), 4, listing)
    assert await store.store.digest(uri) == expected
    assert await store.store.digest(uri.rstrip("/")) == expected
    store.put(store.own, "risk/fraud/model/model.json", b"[]" * 1000)
    changed = await store.store.digest(uri)
    assert changed == ArtifactTree(
        digest_of({**TREE, "model.json": b"[]" * 1000}),
        expected.bytes,
        4,
        await listing_of(store, uri),
    )
    assert changed.listing_digest != listing
    assert await store.store.digest(f"s3://{store.own}/risk/none/") is None


async def test_large_objects_are_streamed(store: StoreWorld):
    large = {
        "a": b"\1" * (3 * 1024 * 1024 + 1),
        **{f"b{number}": bytes([number]) * 1_000_000 for number in range(6)},
    }
    for path, data in large.items():
        store.put(store.own, f"risk/large/{path}", data)
    uri = f"s3://{store.own}/risk/large/"
    expected = ArtifactTree(
        digest_of(large), sum(map(len, large.values())), 7, await listing_of(store, uri)
    )
    assert await store.store.digest(uri) == expected


async def test_folder_markers_are_not_files(store: StoreWorld):
    uri = put_tree(store, store.own, "risk/marked/")
    store.put(store.own, "risk/marked/", b"")
    store.put(store.own, "risk/marked/code/", b"")
    assert await store.store.usage(uri) == Usage(4, sum(map(len, TREE.values())))
    assert sorted(each.path for each in await store.store.objects(uri)) == sorted(TREE)
    tree = await store.store.digest(uri)
    assert tree is not None
    assert tree.digest == digest_of(TREE)


@pytest.mark.parametrize("path", ["a\\b", "tab\there", "line\nbreak", "C:/x"])
async def test_a_tree_with_an_unsafe_name_has_no_digest(store: StoreWorld, path: str):
    uri = put_tree(store, store.own, "risk/unsafe/")
    store.put(store.own, f"risk/unsafe/{path}", b"x")
    with pytest.raises(Invalid, match="s3://") as caught:
        await store.store.digest(uri)
    assert repr(path) in str(caught.value)


async def test_more_objects_than_a_page_are_listed_and_deleted(store: StoreWorld):
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda number: store.put(store.own, f"risk/many/{number:04}", b"x"), range(1003)
            )
        )
    uri = f"s3://{store.own}/risk/many/"
    assert await store.store.usage(uri) == Usage(1003, 1003)
    assert [each.path for each in await store.store.objects(uri)] == [
        f"{number:04}" for number in range(1003)
    ]
    await store.store.delete_prefix(uri)
    assert store.keys(store.own) == set()


async def test_an_object_is_read_up_to_a_limit(store: StoreWorld):
    store.put(store.own, "risk/MLmodel", b"12345")
    uri = f"s3://{store.own}/risk/MLmodel"
    assert await store.store.read(uri, 5) == b"12345"
    with pytest.raises(Invalid, match="4 bytes"):
        await store.store.read(uri, 4)
    assert await store.store.read(f"s3://{store.own}/risk/none", 5) is None
    assert await store.store.read(f"s3://{store.own}/risk/", 5) is None
    assert await store.store.read(f"s3://{store.other}", 5) is None


async def test_an_object_is_created_once_and_never_overwritten(store: StoreWorld):
    uri = f"s3://{store.own}/risk/.modelyard/history/u-1/0000000001.json"
    await store.store.create(uri, b"one")
    for content in (b"one", b"two"):
        with pytest.raises(Conflict, match="S3: create object"):
            await store.store.create(uri, content)
    assert await store.store.read(uri, 10) == b"one"
    for beyond in (
        f"s3://{store.own}/cards/x",
        f"s3://{store.own}/risk/",
        f"s3://{store.own}/x",
        f"s3://{store.other}/risk/x",
    ):
        with pytest.raises(Forbidden):
            await store.store.create(beyond, b"x")
    assert store.keys(store.own) == {"risk/.modelyard/history/u-1/0000000001.json"}
    store.drop_bucket(store.own)
    with pytest.raises(Invalid):
        await store.store.create(uri, b"one")


async def test_a_missing_bucket_is_reported_and_nothing_is_left_to_delete(store: StoreWorld):
    store.drop_bucket(store.own)
    uri = f"s3://{store.own}/risk/fraud/"
    assert await store.store.usage(uri) is None
    for call in (store.store.objects(uri), store.store.digest(uri), store.store.read(f"{uri}x", 5)):
        with pytest.raises(Invalid):
            await call
    await store.store.delete_prefix(uri)


async def test_only_objects_below_the_prefix_are_deleted(store: StoreWorld):
    uri = put_tree(store, store.own, "risk/fraud/")
    store.put(store.own, "risk/fraud/", b"")
    beside = {"risk/fraud-2/x", "risk/frau", "risk/other/fraud/x", "cards/fraud/x"}
    for key in beside:
        store.put(store.own, key, b"x")
    await store.store.delete_prefix(uri)
    await store.store.delete_prefix(uri)
    assert store.keys(store.own) == beside


async def test_nothing_is_deleted_outside_of_the_namespace(store: StoreWorld):
    keys = {"risk/fraud/x", "cards/fraud/x", "risky/x", "x"}
    for bucket in (store.own, store.other):
        for key in keys:
            store.put(bucket, key, b"x")
    own = f"s3://{store.own}"
    for uri in (
        own,
        f"{own}/",
        f"{own}/risk",
        f"{own}/risk/",
        f"{own}/cards/",
        f"{own}/cards/fraud/",
        f"{own}/risky/",
        f"{own}/risk/.modelyard/",
        f"{own}/risk/.modelyard/history/u-1/",
        f"s3://{store.other}/risk/fraud/",
    ):
        with pytest.raises(Forbidden):
            await store.store.delete_prefix(uri)
    for uri in (
        own,
        f"{own}/risk/fraud",
        f"{own}/risk",
        f"{own}/risk/../cards/",
        f"{own}//",
        f"{own}/risk//fraud/",
        f"{own}/risk/./fraud/",
    ):
        with pytest.raises(Invalid):
            await store.store.delete_prefix(uri)
    assert store.keys(store.own) == store.keys(store.other) == keys


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "risk/x",
        "http://b/x",
        "s3://",
        "s3:///x",
        "S3://bucket/x",
        "s3://key:secret@bucket/x",
        "s3://bucket/a%2fb",
    ],
)
async def test_bad_uris_are_refused_without_being_repeated(store: StoreWorld, uri: str):
    for call in (
        store.store.usage(uri),
        store.store.objects(uri),
        store.store.digest(uri),
        store.store.read(uri, 5),
        store.store.delete_prefix(uri),
    ):
        with pytest.raises(Invalid) as caught:
            await call
        assert "secret" not in str(caught.value)
