"""OpenSSF model signatures: ours against the format's reference library, and invalid ones."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_signing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from modelyard.api.digest import FileDigest
from modelyard_runtime.fetch import local_tree
from modelyard_runtime.signature import (
    FILE,
    BadSignature,
    differences,
    fingerprint,
    private_key,
    public_key,
    sign,
    verify,
)

CURVES = [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()]
KEY, OTHER = (ec.derive_private_key(secret, ec.SECP256R1()) for secret in (7, 8))
MINE, THEIRS = KEY.public_key(), OTHER.public_key()
FILES = [FileDigest("MLmodel", 2, "ab" * 32), FileDigest("data/köln.ubj", 3, "cd" * 32)]
GOOD = sign("model", FILES, KEY)


def pem(key: Any) -> str:
    return str(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def private(key: Any, encryption: Any = None) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))


# --- the reference library ------------------------------------------------------------------------
def tree(folder: Path) -> Path:
    """Create a model's folder as MLflow writes it."""
    for path, text in {
        "MLmodel": "flavors: {}",
        "data/model.ubj": "x" * 3000,
        "data/a b/köln.json": "{}",
        "a.b": "",
        "a/c": "1",
    }.items():
        (folder / "model" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "model" / path).write_text(text)
    return folder / "model"


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: str(curve.name))
def test_the_reference_library_verifies_our_signatures_and_we_verify_its(
    tmp_path: Path, curve: ec.EllipticCurve
):
    key, model = ec.generate_private_key(curve), tree(tmp_path)
    (tmp_path / "key.pub").write_text(pem(key.public_key()))
    (tmp_path / "key.pem").write_bytes(private(key))
    signature = model / FILE
    signature.write_bytes(sign("model", local_tree(model), key))
    verifying = model_signing.verifying.Config().use_elliptic_key_verifier(
        public_key=tmp_path / "key.pub"
    )
    verifying.verify(model, signature)
    (model / "MLmodel").write_text("flavors: {evil}")
    with pytest.raises(ValueError, match="Hash mismatch for 'MLmodel'"):
        model_signing.verifying.Config().use_elliptic_key_verifier(
            public_key=tmp_path / "key.pub"
        ).verify(model, signature)
    signature.unlink()
    signing = model_signing.signing.Config().use_elliptic_key_signer(
        private_key=tmp_path / "key.pem"
    )
    signing.set_hashing_config(
        model_signing.hashing.Config().set_ignored_paths(paths=[signature])
    ).sign(model, signature)
    said = verify(signature.read_bytes(), [THEIRS, key.public_key()])
    assert said.key == fingerprint(key.public_key())
    assert differences(said.files, local_tree(model)) == []
    with pytest.raises(BadSignature, match="but by a key whose PEM"):
        verify(signature.read_bytes(), [THEIRS])


def test_files_that_the_library_leaves_unsigned_are_named(tmp_path: Path):
    """The library ignores git's files and accepts added ones; a stage accepts no unsigned file."""
    model, key = tree(tmp_path), tmp_path / "key.pem"
    key.write_bytes(private(KEY))
    model_signing.signing.Config().use_elliptic_key_signer(private_key=key).sign(
        model, tmp_path / FILE
    )
    (model / ".git").mkdir()
    (model / ".git" / "evil.pkl").write_text("evil")
    said = verify((tmp_path / FILE).read_bytes(), [MINE])
    assert differences(said.files, local_tree(model)) == [".git/evil.pkl is not signed"]


def test_other_hashes_of_the_library_are_refused_with_advice(tmp_path: Path):
    model, key = tree(tmp_path), tmp_path / "key.pem"
    key.write_bytes(private(KEY))
    hashing = model_signing.hashing.Config().use_shard_serialization(hashing_algorithm="blake2")
    model_signing.signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(
        hashing
    ).sign(model, tmp_path / FILE)
    with pytest.raises(
        BadSignature,
        match="covers shards by blake2b; sign whole files by SHA-256, which is model_signing's"
        " default",
    ):
        verify((tmp_path / FILE).read_bytes(), [MINE])


# --- invalid signatures ---------------------------------------------------------------------------
def bundle(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return a bundle that was changed after signing."""
    found = json.loads(GOOD)
    change(found)
    return json.dumps(found).encode()


def signed(change: Callable[[dict[str, Any]], Any] | bytes) -> bytes:
    """Return a bundle whose statement the holder of the key signed."""
    found = json.loads(GOOD)
    payload = change
    if callable(change):
        statement = json.loads(base64.b64decode(found["dsseEnvelope"]["payload"]))
        change(statement)
        payload = json.dumps(statement).encode()
    assert isinstance(payload, bytes)
    kind = b"application/vnd.in-toto+json"
    said = KEY.sign(
        b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload), ec.ECDSA(SHA256())
    )
    found["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    found["dsseEnvelope"]["signatures"] = [{"sig": base64.b64encode(said).decode()}]
    return json.dumps(found).encode()


def envelope(**fields: Any) -> bytes:
    return bundle(lambda found: found["dsseEnvelope"].update(fields))


def serialization(**fields: Any) -> bytes:
    return signed(lambda said: said["predicate"]["serialization"].update(fields))


def resource(**fields: Any) -> bytes:
    return signed(lambda said: said["predicate"]["resources"][0].update(fields))


HINT = hashlib.sha256(pem(MINE).encode()).hexdigest()
LINE = "\x1b[31mx\n" * 99
OTHERS = base64.b64encode(OTHER.sign(b"", ec.ECDSA(SHA256()))).decode()
BAD = {
    "nothing": (b"", "it is not JSON"),
    "no text": (b"\xff\xfe\x00", "it is not JSON"),
    "deep": (b"[" * 100_000, "it is not JSON"),
    "a number of many digits": (b"9" * 5000, "it is not JSON"),
    "a list": (b"[]", "it is not a sigstore bundle"),
    "another document": (
        b"{}",
        (
            "it is not a sigstore bundle: its mediaType is (not a string), not"
            " application/vnd.dev.sigstore.bundle.v0.3"
        ),
    ),
    "another media type": (
        bundle(lambda found: found.update(mediaType=LINE)),
        "it is not a sigstore bundle: its mediaType is x x x",
    ),
    "no envelope": (
        bundle(lambda found: found.pop("dsseEnvelope")),
        "its bundle has no dsseEnvelope",
    ),
    "another payload": (envelope(payloadType="text/plain"), "its payloadType is text/plain"),
    "no signature": (envelope(signatures=[]), "its envelope must have exactly one signature"),
    "two signatures": (
        envelope(signatures=[{}, {}]),
        "its envelope must have exactly one signature",
    ),
    "a signature that is none": (envelope(signatures=[7]), "its envelope has no signature"),
    "no base64": (envelope(payload="ä"), "the field payload of its envelope is not base64"),
    "a payload that is no text": (
        envelope(payload=[1]),
        "the field payload of its envelope is not base64",
    ),
    "no signature's bytes": (
        envelope(signatures=[{}]),
        "the field sig of its envelope is not base64",
    ),
    "a torn signature": (
        envelope(signatures=[{"sig": "AAAA"}]),
        f"it names the key {fingerprint(MINE)} but is not by that key: it was",
    ),
    "another payload under the signature": (envelope(payload="e30="), "it was altered"),
    "another's signature": (envelope(signatures=[{"sig": OTHERS}]), "it was altered"),
    "a certificate": (
        bundle(
            lambda found: (
                found.update(verificationMaterial={"certificate": {}})
                or found["dsseEnvelope"].update(payload="e30=")
            )
        ),
        "it is by a certificate, not by a key",
    ),
    "no word about its key": (
        bundle(
            lambda found: (
                found.pop("verificationMaterial") and found["dsseEnvelope"].update(payload="e30=")
            )
        ),
        "it does not name its key",
    ),
    "a payload that is no JSON": (signed(b"x"), "it is not JSON"),
    "a payload that is no object": (signed(b"7"), "its payload is not an in-toto statement"),
    "another statement": (
        signed(lambda said: said.update(_type="x")),
        "its payload is x, not an in-toto statement",
    ),
    "a statement of version 0.2": (
        signed(lambda said: said.update(predicateType="https://model_signing/Digests/v0.1")),
        (
            "its statement is https://model_signing/Digests/v0.1, not"
            " https://model_signing/signature/v1.0: sign again with model-signing 1.0"
        ),
    ),
    "no predicate": (signed(lambda said: said.pop("predicate")), "its statement has no predicate"),
    "no word of how": (
        signed(lambda said: said["predicate"].pop("serialization")),
        "does not say how the files were hashed",
    ),
    "shards": (
        serialization(method="shards"),
        "it covers shards by sha256; sign whole files by SHA-256",
    ),
    "blake3": (serialization(hash_type="blake3"), "it covers files by blake3"),
    "no files": (
        signed(lambda said: said["predicate"].update(resources={})),
        "its statement lists no files",
    ),
    "what is no file": (
        signed(lambda said: said["predicate"]["resources"].append(1)),
        "its statement lists something that is not a file",
    ),
    "a file twice": (
        signed(
            lambda said: said["predicate"]["resources"].append(said["predicate"]["resources"][0])
        ),
        "its statement lists MLmodel twice",
    ),
    "a file's other hash": (resource(algorithm="md5"), "its statement has no SHA-256 of MLmodel"),
    "a file's short hash": (resource(digest="ab"), "its statement's SHA-256 of MLmodel is ab"),
    "a file's hash that is none": (resource(digest="x"), "its statement's SHA-256 of MLmodel is x"),
    "a file with a name of no character": (
        resource(name="\ud800", digest=""),
        "its statement's SHA-256 of  is",
    ),
    "a file without a name": (
        resource(name=None),
        "its statement has no SHA-256 of (not a string)",
    ),
    "two subjects": (
        signed(lambda said: said["subject"].append({})),
        "its statement must have exactly one subject",
    ),
    "a subject without a digest": (
        signed(lambda said: said["subject"][0].pop("digest")),
        "its statement's subject has no digest",
    ),
    "another root": (resource(digest="00" * 32), "its statement contradicts itself"),
}


@pytest.mark.parametrize("name", BAD)
def test_an_invalid_signature_is_reported_as_one(name: str):
    data, said = BAD[name]
    with pytest.raises(BadSignature) as found:
        verify(data, [MINE])
    assert said in str(found.value)
    assert str(found.value).isprintable()
    assert len(str(found.value)) < 400


def test_another_key_is_reported_with_its_id():
    with pytest.raises(BadSignature) as found:
        verify(GOOD, [THEIRS])
    assert (
        str(found.value)
        == f"it is not by the gate's key {fingerprint(THEIRS)}, but by a key whose PEM has the"
        f" SHA-256 {HINT}"
    )


def test_the_key_hint_decides_nothing():
    forged = bundle(lambda found: found["verificationMaterial"]["publicKey"].update(hint="00"))
    assert verify(forged, [MINE]).files == {file.path: file.sha256 for file in FILES}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (FILES, []),
        ([*FILES, FileDigest(FILE, 1, "00" * 32)], []),
        ([*FILES, FileDigest(f"data/{FILE}", 1, "00" * 32)], ["data/model.sig is not signed"]),
        (FILES[:1], ["data/köln.ubj was signed and is missing"]),
        (
            [FileDigest("MLmodel", 2, "ac" * 32), *FILES[1:]],
            ["MLmodel was changed after it was signed"],
        ),
        ([*FILES, FileDigest("\u202ex\n", 2, "ac" * 32)], ["x  is not signed"]),
    ],
)
def test_files_are_compared_and_named(files: list[FileDigest], said: list[str]):
    assert differences(verify(GOOD, [MINE]).files, files) == said


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\ud800", "e30=", HINT]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    where=st.sampled_from(["", "verificationMaterial", "dsseEnvelope"]),
    key=st.integers(0, 5),
    value=JSON,
)
def test_any_bundle_is_a_signature_or_is_refused(where: str, key: int, value: Any):
    found = json.loads(GOOD)
    inner = found[where] if where else found
    inner[sorted(inner)[key % len(inner)]] = value
    _verified_or_refused(json.dumps(found).encode())


@given(where=st.sampled_from(["", "predicate", "subject"]), key=st.integers(0, 5), value=JSON)
def test_any_signed_statement_is_a_signature_or_is_refused(where: str, key: int, value: Any):
    def change(statement: dict[str, Any]) -> None:
        inner = (
            statement["subject"][0]
            if where == "subject"
            else statement[where]
            if where
            else statement
        )
        inner[sorted(inner)[key % len(inner)]] = value

    _verified_or_refused(signed(change))


@given(st.binary(max_size=64))
def test_any_bytes_are_a_signature_or_are_refused(data: bytes):
    _verified_or_refused(data)


def _verified_or_refused(data: bytes) -> None:
    try:
        said = verify(data, [MINE])
    except BadSignature as error:
        str(error).encode()
    else:
        assert differences(said.files, FILES) == []


# --- keys -----------------------------------------------------------------------------------------
def test_a_public_key_is_read_however_its_lines_are_broken():
    text = pem(MINE)
    for each in (
        text,
        text.replace("\n", " "),
        text.replace("\n", "\r\n"),
        f"\n {text}",
        text.strip(),
    ):
        assert fingerprint(public_key(each)) == fingerprint(MINE)
    der = MINE.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert fingerprint(MINE) == hashlib.sha256(der).hexdigest()[:16]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is not a public key in PEM"),
        (private(KEY).decode(), "it is not a public key in PEM"),
        (pem(MINE).replace("MFkw", "MFkx"), "it is not a public key in PEM"),
        (pem(MINE)[:-60] + "A" * 20 + pem(MINE)[-40:], "it is not a public key in PEM"),
        (
            pem(ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32).public_key()),
            "it is not an EC key on P-256, P-384 or P-521",
        ),
        (
            pem(ec.derive_private_key(7, ec.SECP256K1()).public_key()),
            "it is not an EC key on P-256, P-384 or P-521",
        ),
        (
            pem(rsa.generate_private_key(65537, 1024).public_key()),
            "it is not an EC key on P-256, P-384 or P-521",
        ),
    ],
)
def test_other_public_keys_are_refused(text: str, said: str):
    with pytest.raises(BadSignature, match=said):
        public_key(text)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no private key in PEM"),
        (b"hunter2", "holds no private key in PEM"),
        (pem(MINE).encode(), "holds no private key in PEM"),
        (private(KEY, BestAvailableEncryption(b"x")), "is encrypted"),
        (
            private(ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32)),
            "does not hold an EC key on P-256",
        ),
    ],
)
def test_other_private_keys_are_refused_and_not_shown(data: bytes, said: str):
    with pytest.raises(BadSignature) as found:
        private_key(data)
    assert str(found.value).startswith(said)
    assert "hunter2" not in str(found.value)


def test_a_key_of_openssl_is_read():
    traditional = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert fingerprint(private_key(traditional).public_key()) == fingerprint(MINE)
