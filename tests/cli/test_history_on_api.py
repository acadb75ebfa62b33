"""A model's whole history, read from a real MinIO by the command line, which also detects
tampering.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelyard import Client
from modelyard.api.history import HistoryEntry, Outcome
from modelyard.api.record import folder, name
from modelyard.api.registered_model import RegisteredModel
from modelyard.registered_model.record import Link, chain
from tests.cli.conftest import Person
from tests.client.side import Side
from tests.servers import Minio

COUNT = 70
HEAD = COUNT + 5
"""Newest entry: five are not in S3 yet."""


class Kept:
    """The record of the model fraud, with its objects in a bucket."""

    def __init__(self, side: Side, minio: Minio) -> None:
        side.secret(
            "modelyard-connection",
            {
                "MLFLOW_TRACKING_URI": minio.url,
                "MODELYARD_BUCKET": "artifacts",
                **minio.environment,
            },
        )
        side.ours("RegisteredModel", "fraud", {"stages": {"production": {}}})
        self.links = self.entries(side)
        last, stored = self.links[-1], self.links[COUNT - 1]
        history = [
            link.entry.model_dump(mode="json", by_alias=True, exclude_none=True)
            for link in self.links[-50:]
        ]
        record = {
            "number": HEAD,
            "digest": last.digest,
            "stored": {"number": COUNT, "digest": stored.digest},
        }
        self.body = side.status(
            "RegisteredModel", "fraud", "Serving", "", ready=True, history=history, record=record
        )
        self.s3, self.folder = minio.s3(), folder(side.namespace, self.body["metadata"]["uid"])
        for link in self.links[:COUNT]:
            self.put(link.number, link.content)

    def entries(self, side: Side) -> tuple[Link, ...]:
        """Return the whole chain, as the operator creates it."""
        whole = RegisteredModel.parse(side.get("RegisteredModel", "fraud"))
        made = [
            HistoryEntry(
                time=f"2026-01-01T00:{number // 60:02}:{number % 60:02}Z",
                stage="production",
                to="v1",
                outcome=Outcome.PROMOTED,
                record=number,
            )
            for number in range(1, HEAD + 1)
        ]
        status = whole.status.model_copy(
            update={"history": tuple(made), "record": {"number": HEAD}}
        )
        parsed = status.model_copy(
            update={"record": type(status).model_validate({"record": {"number": HEAD}}).record}
        )
        return chain(whole.model_copy(update={"status": parsed}))

    def put(self, number: int, content: bytes) -> None:
        self.s3.put_object(Bucket="artifacts", Key=self.folder + name(number), Body=content)


@pytest.fixture
def kept(side: Side, minio: Minio) -> Kept:
    return Kept(side, minio)


def test_the_history_is_read_from_s3_and_pending_entries_from_the_status(
    person: Person, kept: Kept
):
    entries = json.loads(person.sees("history", "fraud", "--all", "-o", "json"))
    assert [entry["record"] for entry in entries] == list(range(1, HEAD + 1))
    assert entries == [
        link.entry.model_dump(mode="json", by_alias=True, exclude_none=True) for link in kept.links
    ]
    assert len(person.sees("history", "fraud", "--all").splitlines()) == HEAD + 1
    assert len(person.sees("history", "fraud").splitlines()) == 50 + 1


def test_an_intact_record_is_reported_with_its_head(person: Person, side: Side, kept: Kept):
    said = person.sees("history", "verify", "fraud")
    head = f"{COUNT}:{kept.links[COUNT - 1].digest}"
    assert said == (
        f"The history of {side.namespace}/fraud is whole: {COUNT} entries in S3, each chained to"
        f" the one before. Its head is {head}. 5 more are not in S3 yet.\n"
    )
    for link in (kept.links[6], kept.links[-1]):
        assert (
            person.sees("history", "verify", "fraud", "--head", f"{link.number}:{link.digest}")
            == said
        )
    with Client(side.namespace, kubeconfig=str(side.server.kubeconfig)) as client:
        seen: list[tuple[int, int]] = []
        assert client.models.verify_history("fraud", seen=lambda *figures: seen.append(figures)).ok
    assert seen == [(64, COUNT), (COUNT, COUNT)]


def test_tampering_is_found_and_sets_the_exit_code(person: Person, kept: Kept):
    kept.s3.delete_object(Bucket="artifacts", Key=kept.folder + name(7))
    kept.put(20, kept.links[19].content.replace(b"Promoted", b"RolledBack"))
    kept.put(31, kept.links[29].content)
    kept.put(COUNT, b"x" * 100_000)
    done = person.says("history", "verify", "fraud", "-o", "json")
    assert done.returncode == 1, done.stderr
    found = [(each["number"], each["message"][:28]) for each in json.loads(done.stdout)["findings"]]
    assert found == [
        (7, "It is missing."),
        (20, "It does not match the digest"),
        (31, "It holds the entry 30: entri"),
        (31, "It does not match the digest"),
        (COUNT, "It is not an entry in JSON: "),
        (COUNT, "It has the digest sha256:1ab"),
    ]
    words = person.says("history", "verify", "fraud")
    assert words.returncode == 1
    assert "is not what was recorded:\nentry 7: It is missing.\n" in words.stdout


def test_an_entry_that_is_not_in_the_status_is_found_though_it_fits(person: Person, kept: Kept):
    for link in kept.links[COUNT:]:
        kept.put(link.number, link.content)
    assert "is whole" in person.sees("history", "verify", "fraud"), (
        "an operator that died after storing them"
    )
    more = json.loads(kept.links[-1].content) | {
        "number": HEAD + 1,
        "previous": kept.links[-1].digest,
    }
    kept.put(HEAD + 1, json.dumps(more).encode())
    done = person.says("history", "verify", "fraud")
    assert (
        done.returncode,
        f"entry {HEAD + 1}: The status ends with {HEAD}: the operator did not write it.\n"
        in done.stdout,
    ) == (1, True)


def test_a_rewritten_record_is_found_by_a_head_kept_elsewhere(person: Person, kept: Kept):
    for head, said in (
        (
            f"{HEAD + 1}:sha256:{'0' * 64}",
            f"entry {HEAD + 1}: It is missing: the head says that it was written",
        ),
        (
            f"{HEAD}:sha256:{'0' * 64}",
            f"entry {HEAD}: The status says {kept.links[-1].digest}, and the head says",
        ),
        (
            f"3:sha256:{'0' * 64}",
            f"entry 3: It has the digest {kept.links[2].digest}, but the head says",
        ),
    ):
        done = person.says("history", "verify", "fraud", "--head", head)
        assert (done.returncode, said in done.stdout) == (1, True), done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("history", "verify", "fraud", "--head", "12"),
            "a head is a number, a colon and a digest",
        ),
        (
            ("history", "fraud", "--head", f"1:sha256:{'0' * 64}"),
            "use it with python -m modelyard history verify fraud --head NUMBER:DIGEST",
        ),
        (("history", "verify", "fraud", "--all"), "omit --stage and --all"),
        (("history", "a", "b"), "use modelyard history MODEL or modelyard history verify MODEL"),
    ],
)
def test_usage_errors_are_printed(person: Person, kept: Any, words: tuple[str, ...], said: str):
    done = person.says(*words)
    assert done.returncode == 2, done.stderr
    assert said in " ".join(done.stderr.split()).replace("│ ", "").replace(" │", "")


def test_a_model_named_verify_has_a_history(person: Person, side: Side):
    side.ours("RegisteredModel", "verify", {"stages": {"production": {}}})
    assert person.sees("history", "verify") == "No version has been promoted yet.\n"
