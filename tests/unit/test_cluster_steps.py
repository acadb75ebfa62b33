"""Which steps of the test cluster run, in which order, and when a step counts as done."""

import io
import threading
from pathlib import Path

import pytest

from tests.cluster.console import Console, Failed, Log
from tests.cluster.steps import Plan, Step, hash_files, keys_of, order


def step(
    tmp_path: Path, name: str, after: tuple[str, ...] = (), inputs: tuple[str, ...] = ()
) -> Step:
    """A step whose output is a file that holds the key it was made for, and which keeps a
    journal of its runs.
    """
    output = tmp_path / "out" / name

    def run(log: Log, key: str) -> None:
        missing = [before for before in after if not (tmp_path / "out" / before).exists()]
        if missing:
            raise Failed(f"{name} ran before {missing}")
        output.parent.mkdir(exist_ok=True)
        output.write_text(key)
        log.write(f"made {name}")

    return Step(
        name,
        run,
        lambda key: output.exists() and output.read_text() == key,
        inputs=inputs,
        after=after,
    )


def plan(tmp_path: Path, *steps: Step) -> Plan:
    return Plan(steps, tmp_path / "cache", Console(io.StringIO()))


def names(steps: list[Step]) -> list[str]:
    return [each.name for each in steps]


def test_order_puts_every_step_after_its_dependencies_and_leaves_out_unneeded_steps(
    tmp_path: Path,
) -> None:
    steps = [
        step(tmp_path, "node", after=("base", "kube")),
        step(tmp_path, "kube", after=("go",)),
        step(tmp_path, "base"),
        step(tmp_path, "go"),
        step(tmp_path, "minio", after=("go",)),
    ]
    assert names(order(steps, ["node"])) == ["base", "go", "kube", "node"]
    assert names(order(steps, ["kube", "node"])) == ["go", "kube", "base", "node"]


def test_order_refuses_a_cycle_and_an_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ring: a -> b -> a"):
        order([step(tmp_path, "a", after=("b",)), step(tmp_path, "b", after=("a",))], ["a"])
    with pytest.raises(ValueError, match="'c'"):
        order([step(tmp_path, "a", after=("c",))], ["a"])


def test_a_key_changes_with_the_inputs_of_the_step_and_of_every_step_before_it(
    tmp_path: Path,
) -> None:
    def keys(go: str, kube: str) -> dict[str, str]:
        return keys_of(
            [
                step(tmp_path, "go", inputs=(go,)),
                step(tmp_path, "kube", ("go",), (kube,)),
                step(tmp_path, "node", ("kube",)),
                step(tmp_path, "base"),
            ]
        )

    first = keys("1", "1")
    assert keys("1", "1") == first
    changed = keys("1", "2")
    assert [name for name in first if first[name] != changed[name]] == ["kube", "node"]
    changed = keys("2", "1")
    assert [name for name in first if first[name] != changed[name]] == ["go", "kube", "node"]


def test_inputs_that_only_join_to_the_same_text_have_different_keys(tmp_path: Path) -> None:
    assert keys_of([step(tmp_path, "a", inputs=("bc", "d"))]) != keys_of(
        [step(tmp_path, "a", inputs=("b", "cd"))]
    )


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    steps = [step(tmp_path, "a"), step(tmp_path, "b", after=("a",))]
    assert plan(tmp_path, *steps).run(["b"]) == ["a", "b"]
    assert plan(tmp_path, *steps).run(["b"]) == []
    assert plan(tmp_path, *steps).missing(["b"]) == []


def test_a_lost_output_is_made_again_and_what_was_made_from_it_is_kept(tmp_path: Path) -> None:
    steps = [step(tmp_path, "a"), step(tmp_path, "b", after=("a",))]
    plan(tmp_path, *steps).run(["b"])
    (tmp_path / "out" / "a").unlink()
    assert plan(tmp_path, *steps).run(["b"]) == ["a"]


def test_a_changed_input_runs_the_step_and_all_its_dependents(tmp_path: Path) -> None:
    plan(tmp_path, step(tmp_path, "a"), step(tmp_path, "b", after=("a",)), step(tmp_path, "c")).run(
        ["b", "c"]
    )
    again = plan(
        tmp_path,
        step(tmp_path, "a", inputs=("new",)),
        step(tmp_path, "b", after=("a",)),
        step(tmp_path, "c"),
    )
    assert again.missing(["b", "c"]) == ["a", "b"]
    assert again.run(["b", "c"]) == ["a", "b"]


def test_a_failing_step_names_its_log_and_shows_its_end_and_its_dependents_never_run(
    tmp_path: Path,
) -> None:
    def broken(log: Log, key: str) -> None:
        log.write("the last words")
        raise Failed("compiler ended with 2")

    steps = [Step("a", broken, lambda key: False), step(tmp_path, "b", after=("a",))]
    with pytest.raises(Failed, match="compiler ended with 2") as caught:
        plan(tmp_path, *steps).run(["b"])
    assert "the last words" in str(caught.value)
    assert str(tmp_path / "cache" / "logs" / "a.log") in str(caught.value)
    assert not (tmp_path / "out" / "b").exists()


def test_a_step_whose_run_failed_is_not_done_though_an_older_output_exists(
    tmp_path: Path,
) -> None:
    output = tmp_path / "output"
    output.write_text("old")
    fail = True

    def run(log: Log, key: str) -> None:
        if fail:
            raise Failed("no room")

    def steps(version: str) -> Step:
        return Step("a", run, lambda key: output.exists(), inputs=(version,))

    fail = False
    assert plan(tmp_path, steps("1")).run(["a"]) == ["a"]
    fail = True
    with pytest.raises(Failed):
        plan(tmp_path, steps("2")).run(["a"])
    # The stamp of version 1 was removed before the work on 2 began: the output may be incomplete.
    assert plan(tmp_path, steps("1")).missing(["a"]) == ["a"]


def test_a_step_that_leaves_no_output_has_failed(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="output is missing"):
        plan(tmp_path, Step("a", lambda log, key: None, lambda key: False)).run(["a"])


def test_independent_steps_run_in_parallel(tmp_path: Path) -> None:
    # Neither passes the barrier before the other has reached it.
    barrier = threading.Barrier(2, timeout=30)
    seen: set[str] = set()

    def run(name: str) -> Step:
        def work(log: Log, key: str) -> None:
            barrier.wait()
            seen.add(name)

        return Step(name, work, lambda key: name in seen)

    assert set(plan(tmp_path, run("a"), run("b")).run(["a", "b"])) == {"a", "b"}


def test_heavy_steps_leave_room_for_others(tmp_path: Path) -> None:
    """Of three heavy steps two run and the third waits for one of them; a light step runs
    meanwhile.
    """
    light_ran, two_at_once = threading.Event(), threading.Event()
    heavy_now, most = [0], [0]
    lock = threading.Lock()

    def heavy(log: Log, key: str) -> None:
        with lock:
            heavy_now[0] += 1
            most[0] = max(most[0], heavy_now[0])
            if heavy_now[0] == 2:
                two_at_once.set()
        if not (two_at_once.wait(30) and light_ran.wait(30)):
            raise Failed("no second heavy step, or no turn for the light one")
        with lock:
            heavy_now[0] -= 1

    steps = [
        Step(name, heavy, lambda key: light_ran.is_set(), heavy=True) for name in ("a", "b", "c")
    ]
    steps.append(Step("light", lambda log, key: light_ran.set(), lambda key: light_ran.is_set()))
    runner = Plan(steps, tmp_path / "cache", Console(io.StringIO()), workers=3)
    assert set(runner.run(["a", "b", "c", "light"])) == {"a", "b", "c", "light"}
    assert most == [2]


def test_a_hash_of_files_changes_with_names_contents_and_the_x_bit_only(tmp_path: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "main.go").write_text("package main")
    first = hash_files([folder], folder)
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "main.go").write_text("package main")
    assert hash_files([other], other) == first
    (other / "main.go").chmod(0o755)
    assert hash_files([other], other) != first
    (other / "main.go").rename(other / "kube.go")
    (other / "kube.go").chmod(0o644)
    assert hash_files([other], other) != first
    (folder / "main.go").write_text("package kube")
    assert hash_files([folder], folder) != first
