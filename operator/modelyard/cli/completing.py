"""Shell completion of names in the cluster. Errors are ignored: then nothing is offered."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import typer

from modelyard.cli.acting import Acting

__all__ = ["experiments", "gates", "models", "runs", "stages", "versions"]


def _names(context: typer.Context, offered: Callable[[Any], list[str]], begun: str) -> list[str]:
    with suppress(Exception):
        from modelyard.client import Client, Impersonation  # noqa: PLC0415 - completing options needs no cluster

        given = context.params
        who = Acting.of(given)
        acting = Impersonation(who.user, who.groups, who.uid)
        client = Client(
            namespace=given.get("namespace"), context=given.get("context"), acting=acting
        )
        return sorted(name for name in offered(client) if name.startswith(begun))
    return []


def models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the models of the namespace."""
    return _names(
        ctx, lambda client: [model.metadata.name for model in client.models.list()], incomplete
    )


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the runs of the namespace."""
    return _names(ctx, lambda client: [run.metadata.name for run in client.runs.list()], incomplete)


def experiments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the experiments of the namespace."""
    return _names(
        ctx, lambda client: [each.metadata.name for each in client.experiments.list()], incomplete
    )


def stages(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the stages of the model on the command line."""
    return _names(
        ctx, lambda client: list(client.models.get(ctx.params["model"]).spec.stages), incomplete
    )


def versions(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the versions of the model on the command line."""
    return _names(
        ctx, lambda client: _recorded(client.models.get(ctx.params["model"]).status), incomplete
    )


def gates(ctx: typer.Context, incomplete: str) -> list[str]:
    """Offer the gates that take approvals, of the stage on the command line."""

    def offered(client: Any) -> list[str]:
        from modelyard.client.approving import gates_of  # noqa: PLC0415 - as above

        stages = client.models.get(ctx.params["model"]).spec.stages
        named = [stage for name, stage in stages.items() if ctx.params.get("stage") in {None, name}]
        return [gate.name for stage in named for gate in gates_of(stage)]

    return _names(ctx, offered, incomplete)


def _recorded(status: Any) -> list[str]:
    return [each.name for each in (*status.older_versions, *status.versions)]
