"""Read what the pods say that split their requests, and what is kept of the analysis of a rollout. No pod is asked without one."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from modelyard.api.registered_model import RegisteredModel
from modelyard.kube.jobs import of_kind
from modelyard.plan import Manifest
from modelyard.ports import Cluster
from modelyard.registered_model import judged
from modelyard.registered_model.restored import stage_of
from modelyard.registered_model.view import identity_of
from modelyard.traffic import Seen, Split, Traffic

__all__ = ["kept", "splits"]

_INTERVAL = timedelta(seconds=30)


async def kept(model: RegisteredModel, cluster: Cluster) -> dict[str, str]:
    """Return what is kept of analyses, by stage.

    Raises:
        ModelyardError: Kubernetes did not answer.

    """
    found: dict[str, str] = {}
    for name, stage in model.status.stages.items():
        spec = model.spec.stages.get(name)
        if stage.rollout is None or spec is None or spec.rollout is None or spec.rollout.analysis is None:
            continue
        data = await cluster.config_map(model.metadata.namespace, judged.config_map_name(model, name))
        if data is not None and (text := data.get(judged.KEY)) is not None:
            found[name] = text
    return found


async def splits(
    model: RegisteredModel, owned: Iterable[Manifest], progress: dict[str, str], traffic: Traffic, now: datetime
) -> dict[str, Seen]:
    """Return what the stable pods say of rollouts, by stage."""
    found: dict[str, Seen] = {}
    for name, stage in model.status.stages.items():
        spec, stable = model.spec.stages.get(name), stage.effective
        if stage.rollout is None or stable is None or spec is None or spec.rollout is None:
            continue
        analysis = spec.rollout.analysis
        asked = Split(
            uid=model.metadata.uid,
            stage=name,
            identity=stable.runtime.identity,
            revision=stage.traffic_revision,
            interval=analysis.every if analysis is not None else _INTERVAL,
            judged=judged.intervals(model, name, progress.get(name)),
        )
        pods = [each for each in of_kind(owned, "Pod") if (stage_of(each), identity_of(each)) == (name, asked.identity)]
        found[name] = await traffic.split(asked, pods, now)
    return found
