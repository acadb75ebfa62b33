"""A RegisteredModel as a tree: stages, traffic, blockers, versions and active runs."""

from collections.abc import Callable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from modelyard.api.base import Condition
from modelyard.api.blocker import Blocker
from modelyard.api.registered_model import (
    ModelReason,
    RegisteredModel,
    StageStatus,
    VersionStatus,
)
from modelyard.api.training_run import TrainingRun
from modelyard.cli.views import gates as gate_views
from modelyard.cli.views import plans
from modelyard.cli.views import runs as run_views
from modelyard.cli.views.rollouts import (
    ROLLOUT,
    judged_line,
    part,
    rollout_lines,
    split_line,
    stepped,
)
from modelyard.cli.views.steps import roll_out, step_lines
from modelyard.cli.views.text import state_of, style_of
from modelyard.client import newest, overriding, rolling_back, verifying
from modelyard.client.gates import gates_of
from modelyard.client.progress import asked_for, moving_steps, stage_blocker
from modelyard.client.rollouts import RolloutState, rollout_state
from modelyard.client.table import Cell
from modelyard.client.text import age, ago, clip, short_digest, size

__all__ = ["HEADS", "WIDE_HEADS", "row", "status", "traffic", "tree"]

HEADS = ("NAME", "STATE", "STAGES", "AGE", "WHY")
WIDE_HEADS = ("NAME", "STATE", "STAGES", "AGE", "VERSIONS", "MLFLOW", "WHY")
Hint = Callable[[str], str]
"""Makes a command to copy."""
_PLAIN: Hint = "modelyard {}".format
_TONES = {"good": "green", "busy": "yellow", "bad": "red", "quiet": "dim"}
_VERSIONS = 5
"""How many of the newest versions the tree shows, besides those in a stage; it counts the rest."""


def row(model: RegisteredModel, now: datetime, *, wide: bool = False) -> list[Cell]:
    """Return a model as a row below `HEADS`."""
    word, condition = state_of(model.status, model.metadata.generation)
    why = condition.message if condition and word != "Ready" else ""
    begin: list[Cell] = [
        model.metadata.name,
        Text(word, style=style_of(word)),
        model.status.summary or "-",
    ]
    begin.append(age(model.metadata.creation_timestamp, now))
    more: list[Cell] = (
        [str(len(model.status.versions)), model.status.mlflow_name or "-"] if wide else []
    )
    return [*begin, *more, why]


def traffic(stage: StageStatus, rollout: RolloutState | None = None) -> list[tuple[str, int]]:
    """Return the effective version of a stage with its percentage of the requests."""
    passed_on = rollout.weight if rollout is not None else 0
    return [(stage.version, 100 - passed_on)] if stage.version and stage.url else []


def status(
    models: Sequence[RegisteredModel],
    runs: Sequence[TrainingRun],
    now: datetime,
    width: int,
    hint: Hint = _PLAIN,
    *,
    wide: bool = False,
) -> RenderableType:
    """Draw a tree for each model, and one for the active runs that register with none of them."""
    named = {(model.metadata.namespace, model.metadata.name) for model in models}
    active = [run for run in runs if not run_views.finished(run)]
    parts: list[RenderableType] = []
    for model in models:
        theirs = [
            run
            for run in active
            if _registers(run) == (model.metadata.namespace, model.metadata.name)
        ]
        parts += [tree(model, theirs, now, width, hint, wide=wide), Text()]
    if others := [run for run in active if _registers(run) not in named]:
        branch = Tree(Text("Training", style="bold"))
        for run in others:
            branch.add(run_views.line(run, now, width - 4))
        parts += [branch, Text()]
    if not parts:
        first = hint("train -e EXPERIMENT --register MODEL@VERSION")
        return Text(f"No models yet. Train one: {first}")
    return Group(*parts[:-1])


def _registers(run: TrainingRun) -> tuple[str, str] | None:
    return (run.metadata.namespace, run.spec.register_.model) if run.spec.register_ else None


def tree(
    model: RegisteredModel,
    runs: Sequence[TrainingRun],
    now: datetime,
    width: int,
    hint: Hint = _PLAIN,
    *,
    wide: bool = False,
) -> Tree:
    """Draw one model."""
    word, condition = state_of(model.status, model.metadata.generation)
    root = Tree(
        Text.assemble(
            (model.metadata.name, "bold"),
            (f"  {model.metadata.namespace}  ", "dim"),
            (word, style_of(word)),
        )
    )
    if (
        condition is not None
        and condition.message
        and word in ("Stalled", "Reconciling")
        and not _is_of_a_stage(model, condition)
    ):
        root.add(Text.assemble((f"{condition.reason}: ", style_of(word)), condition.message))
    if word == "Unknown":
        root.add(
            Text(f"The operator has not observed this spec yet. If this lasts: {hint('doctor')}")
        )
    synced = model.status.condition("Synced")
    if (
        synced is not None
        and synced.status != "True"
        and synced.message
        and synced.message != (condition.message if condition else "")
    ):
        root.add(Text.assemble((f"MLflow, {synced.reason}: ", "yellow"), synced.message))
    if model.spec.dry_run:
        root.add(Text("dryRun: changes of versions are only planned", style="yellow"))
    for name in sorted({*model.spec.stages, *model.status.stages}):
        _stage(root, model, name, now, wide=wide)
    if runs:
        branch = root.add(Text("training", style="bold"))
        for run in runs:
            branch.add(run_views.line(run, now, width - 8))
    _versions(root, model, now, width, wide=wide)
    return root


def _is_of_a_stage(model: RegisteredModel, condition: Condition) -> bool:
    """Tell whether a condition repeats the blocker of a stage, which is drawn there."""
    blockers = (stage_blocker(model, name) for name in model.status.stages)
    return any(blocker is not None and blocker.reason == condition.reason for blocker in blockers)


def _stage(root: Tree, model: RegisteredModel, name: str, now: datetime, *, wide: bool) -> None:
    stage = model.status.stages.get(name) or StageStatus()
    wanted = asked_for(model, name).version
    head = Text.assemble(
        (name, "bold"), "  ", (stage.version or "empty", "" if stage.version else "dim")
    )
    if wanted != stage.version:
        head.append(f" → {wanted or 'empty'}", style="yellow")
    if stage.version and stage.since_time:
        head.append(f"  since {age(stage.since_time, now)}", style="dim")
    if (automatic := newest.description(model, name)) is not None:
        head.append(f"  {automatic}", style="dim")
    branch = root.add(head)
    rollout = rollout_state(model, name)
    for version, percent in traffic(stage, rollout):
        pods = f"{stage.ready_replicas}/{stage.desired_replicas} pods"
        style = "green" if stage.ready_replicas >= stage.desired_replicas else "yellow"
        branch.add(
            Text.assemble(
                "traffic  ",
                part(percent),
                f" {percent}% {version}  ",
                (pods, style),
                f"  {stage.url}",
            )
        )
    if rollout is not None:
        branch.add(Text("traffic  ") + split_line(rollout))
    if stage.version and not stage.url:
        branch.add(Text("not served: serving.replicas is 0", style="dim"))
    if (kept := rolling_back.warm(model, name, now)) is not None:
        branch.add(Text(f"kept     {kept}", style="dim"))
    if (overridden := overriding.description(model, name, now)) is not None:
        branch.add(Text.assemble("override ", (overridden, "yellow")))
    blocker = stage_blocker(model, name)
    if (moving := roll_out(model, name, now)) is not None:
        steps = branch.add(moving)
        _steps(steps, model, name, now, blocker.message if blocker else "")
    if rows := plans.lines(model, name):
        planned = branch.add(Text("plan", style="yellow"))
        for row in rows:
            planned.add(row)
    gates_drawn = _gates(branch, model, name, now, wide=wide)
    if (again := verifying.verification_text(model, name, now)) is not None:
        branch.add(Text(again.words, style=_TONES[again.tone]))
    if blocker is not None and not (gates_drawn and blocker.reason == ModelReason.GATES_PENDING):
        branch.add(_blocked(blocker))


def _steps(branch: Tree, model: RegisteredModel, name: str, now: datetime, nearby: str) -> None:
    """Draw the steps of a promotion, and the details of a rollout below its step."""
    moving, rollout = moving_steps(model, name), rollout_state(model, name)
    for step, line in zip(
        moving, step_lines(stepped(moving, rollout, now), now, nearby), strict=True
    ):
        leaf = branch.add(line)
        if step.name == ROLLOUT and rollout is not None:
            for detail in rollout_lines(rollout, nearby):
                leaf.add(detail)
            if rollout.analysis and (judged := judged_line(model, name)) is not None:
                leaf.add(judged)


def _gates(branch: Tree, model: RegisteredModel, name: str, now: datetime, *, wide: bool) -> bool:
    """Draw a stage's gates; return whether open gates were drawn. Passed gates are only counted,
    except those with approvals.
    """
    gates = gates_of(model, name)
    if gates is None:
        return False
    drawn = branch.add(gate_views.head(gates))
    for line in gate_views.gate_lines(
        gates, now, gates.results if gates.open or wide else gates.by_people
    ):
        drawn.add(line)
    return bool(gates.open)


def _blocked(blocker: Blocker) -> Text:
    return Text.assemble(
        (f"{blocker.reason}: ", "red" if blocker.needs_action else "yellow"), blocker.message
    )


def _versions(root: Tree, model: RegisteredModel, now: datetime, width: int, *, wide: bool) -> None:
    every = model.status.versions
    shown = [
        each
        for at, each in enumerate(every)
        if wide or each.stages or each.blocked or at >= len(every) - _VERSIONS
    ]
    waiting = [name for name in model.spec.versions if name not in {each.name for each in every}]
    if not shown and not waiting:
        root.add(Text("no versions yet", style="dim"))
        return
    branch = root.add(Text("versions", style="bold"))
    longest = max([len(each.name) for each in shown], default=0)
    for version in reversed(shown):
        leaf = branch.add(_version(version, longest, now, width - 8, wide=wide))
        if version.blocked is not None:
            leaf.add(_blocked(version.blocked))
        for words in _rejections(model, version, now):
            leaf.add(words)
    for name in waiting:
        branch.add(Text(f"{name}  declared, not registered yet", style="yellow"))
    if hidden := len(every) - len(shown):
        branch.add(Text(f"and {hidden} older (show them with -o wide)", style="dim"))


def _rejections(model: RegisteredModel, version: VersionStatus, now: datetime) -> list[Text]:
    """Return which stages have rejected a version and why, unless the stage itself says so."""
    found = []
    for name, stage in sorted(model.status.stages.items()):
        for each in stage.rejected:
            is_told = stage.desired == version.name and stage.blocked is not None
            if (each.version, each.digest) == (version.name, version.digest) and not is_told:
                head = f"{name} rejected it {ago(each.time, now)}, {each.reason}: "
                found.append(Text.assemble((head, "red"), each.message))
    return found


def _version(
    version: VersionStatus, longest: int, now: datetime, width: int, *, wide: bool
) -> Text:
    source = (
        version.training_run
        or (version.run_id and f"run {version.run_id[:8]}")
        or version.uri
        or "unknown"
    )
    facts = [
        version.flavor or "?",
        size(version.bytes),
        f"from {source}",
        ago(version.registered_time, now),
    ]
    if wide:
        facts += [
            short_digest(version.digest),
            f"MLflow {version.mlflow_version or '-'}",
            version.signature or "no signature",
        ]
    held = f"  in {', '.join(version.stages)}" if version.stages else ""
    words = ", ".join(fact for fact in facts if fact)
    words = words if wide else clip(words, max(20, width - longest - 2 - len(held)))
    return Text.assemble(version.name.ljust(longest), "  ", words, (held, "green"))
