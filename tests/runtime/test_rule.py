"""The rule of a canary: what is valid, and what a server does with an invalid one."""

import json
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from modelyard_runtime.serve.rule import Rule, RuleFile, parsed
from tests.harness import until
from tests.runtime.canary import PREDICT, Stable, ask, rule, splitting, who
from tests.runtime.programs import Server

WHOLE = rule(
    10, 7, sticky={"header": "X-User"}, invite={"header": "x-modelyard-version"}, timeoutMs=2000
)

# (case, change, part of the message)
ODD = [
    ("a weight above 100", {"weight": 101}, "weight"),
    ("a weight below 0", {"weight": -1}, "weight"),
    ("a weight that is true", {"weight": True}, "weight"),
    ("a weight that is no whole number", {"weight": 0.5}, "weight"),
    ("no revision", {"revision": None}, "revision"),
    ("revision 0", {"revision": 0}, "revision"),
    ("a revision that JSON does not carry", {"revision": 1 << 60}, "revision"),
    ("an address for a name", {"candidate": "127.0.0.1"}, "candidate"),
    ("a number for a name", {"candidate": "2130706433"}, "candidate"),
    ("a number of base 16 for a name", {"candidate": "0x7f000001"}, "candidate"),
    ("another namespace's name", {"candidate": "fraud.other"}, "candidate"),
    ("a port", {"candidate": "fraud:9090"}, "candidate"),
    ("a name that is too long", {"candidate": "a" * 64}, "candidate"),
    ("a line end in the version", {"version": "v4\n"}, "version"),
    ("an empty runtime", {"runtime": ""}, "runtime"),
    ("no time at all", {"timeoutMs": 0}, "timeoutMs"),
    ("a header and a cookie", {"sticky": {"header": "a", "cookie": "b"}}, "sticky"),
    ("sticky without either", {"sticky": {}}, "sticky"),
    ("a sticky header that is none", {"sticky": {"header": "x: y"}}, "header"),
    ("an invitation by cookie", {"invite": {"cookie": "uid"}}, "invite"),
    ("something of a later release", {"mirror": 20}, "mirror"),
]


def test_a_rule_is_read():
    assert parsed(json.dumps(WHOLE).encode()) == Rule(
        revision=7,
        candidate="fraud-production-v4-2e3d4c5b",
        version="v4",
        runtime="2e3d4c5b",
        weight=10,
        timeout=2.0,
        header=b"x-user",
        invite=b"x-modelyard-version",
    )
    with_cookie = parsed(json.dumps(rule(0, sticky={"cookie": "Uid"})).encode())
    assert with_cookie is not None
    assert (with_cookie.header, with_cookie.cookie, with_cookie.invite) == (None, "Uid", None)
    assert parsed(b"") is parsed(b" \n") is None


@pytest.mark.parametrize(
    ("change", "named"), [case[1:] for case in ODD], ids=[case[0] for case in ODD]
)
def test_an_invalid_rule_is_refused_with_the_field(change: dict[str, object], named: str):
    with pytest.raises(ValueError, match=named):
        parsed(json.dumps(WHOLE | change).encode())


@pytest.mark.parametrize("name", sorted(rule(0)))
def test_an_incomplete_rule_is_refused(name: str):
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        parsed(json.dumps({each: value for each, value in WHOLE.items() if each != name}).encode())


@pytest.mark.parametrize(
    "text", [b"{", b"[1]", b"\xff", b"NaN", b"[" * 16_000, b"{}" + b" " * (16 << 10)]
)
def test_invalid_json_or_a_too_large_rule_is_refused(text: bytes):
    with pytest.raises(ValueError):
        parsed(text)


@pytest.fixture(scope="module")
def stable(
    models: Path, tmp_path_factory: pytest.TempPathFactory, served: Callable[[str], Server]
) -> Iterator[Stable]:
    """A stable server. Its candidate serves version v3, another than the rule's: none of its
    answers is used.
    """
    with splitting(
        tmp_path_factory.mktemp("rule") / "stable", models / "classifier", served("linear").port
    ) as found:
        yield found


def test_an_invalid_file_splits_nothing_and_is_reported_once(stable: Stable):
    def said(times: int) -> bool:
        return stable.server.log.count("the rule is invalid and not applied") == times

    times = 0
    for text in ("{", json.dumps(WHOLE | {"weight": 101}), "x" * 20_000):
        stable.tell(100)
        stable.write(text)
        until(lambda: stable.traffic["revision"] == 0, "the rule is taken away")
        assert who(ask([stable.server.port], [PREDICT] * 20)) == {"v3": 20}
        assert stable.arm("candidate") == stable.arm("stable") == (0, 0, 0)
        stable.file.write_text(text + " ")  # in place, and as invalid as before
        times += 2
        until(partial(said, times), "it is said of this file too")
    stable.tell(0)
    assert said(times)


async def test_a_file_is_read_only_when_it_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file, applied = tmp_path / "rule.json", list[Rule | None]()

    async def apply(found: Rule | None) -> None:
        applied.append(found)

    follows = RuleFile(file, apply)

    async def looked(times: int = 3) -> list[int | None]:
        applied.clear()
        for _ in range(times):
            await follows.look()
        return [each and each.revision for each in applied]

    assert await looked() == []
    file.write_text(json.dumps(rule(10, 1)))
    assert await looked() == [1]
    replacement = tmp_path / "new"
    replacement.write_text(json.dumps(rule(10, 2)))  # of the same length as the first
    os.utime(replacement, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    replacement.replace(file)
    assert await looked() == [2]
    file.write_text("{")
    assert await looked() == [None]
    assert capsys.readouterr().out.count("the rule is invalid and not applied") == 1
    file.unlink()
    assert await looked() == [None]
    assert not capsys.readouterr().out


def test_no_file_and_an_empty_one_are_no_rule(stable: Stable):
    for taken_away in (lambda: stable.write(""), stable.file.unlink):
        stable.tell(0)
        ask([stable.server.port], [PREDICT] * 20)
        assert stable.arm("stable") == (20, 0, 0)
        taken_away()
        until(lambda: stable.traffic["revision"] == 0, "the rule is taken away")
        ask([stable.server.port], [PREDICT] * 20)
        assert stable.arm("stable") == (0, 0, 0)


def test_a_file_that_cannot_be_read_is_no_rule(stable: Stable):
    stable.tell(0)
    stable.file.unlink()
    stable.file.mkdir()
    until(lambda: stable.traffic["revision"] == 0, "the rule is taken away")
    assert "IsADirectoryError" in stable.server.log
    stable.file.rmdir()
    stable.tell(0)


def imported(server: Server) -> bool:
    """Return whether a server has aiohttp's code in its memory."""
    return "aiohttp" in Path(f"/proc/{server.process.pid}/maps").read_text()


def test_a_server_without_a_rule_imports_no_client_and_says_so(
    stable: Stable, served: Callable[[str], Server]
):
    stable.tell(0)
    assert imported(stable.server)
    before = served("linear")
    assert not imported(before)
    found = before.traffic()
    assert found["revision"] == 0
    assert found.keys().isdisjoint({"arms", "invited"})
    assert "modelyard_traffic" not in before.metrics()


def test_a_deleted_folder_is_no_rule(models: Path, tmp_path: Path):
    with splitting(tmp_path / "stable", models / "classifier", 9) as found:
        found.tell(100)
        found.file.unlink()
        found.file.parent.rmdir()
        until(lambda: found.traffic["revision"] == 0, "the rule is taken away")
        assert who(ask([found.server.port], [PREDICT] * 20)) == {"v3": 20}
