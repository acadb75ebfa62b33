"""The kinds that the client uses, with their API group and plural."""

from dataclasses import dataclass

from modelyard.api.base import GROUP, VERSION

__all__ = ["KINDS", "Kind", "group_of", "kind_of"]


@dataclass(frozen=True)
class Kind:
    """A kind of the API.

    Attributes:
        api_version: `v1`, `modelyard.io/v1alpha1`.
        name: `Pod`.
        plural: `pods`.
        namespaced: Whether its objects have a namespace.

    """

    api_version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]


_OURS = f"{GROUP}/{VERSION}"
# modelyard's own kinds are those of `api.kinds`, which is not imported here: loading the models of
# every kind would slow the command line down by a third of a second. tests/house compares the two.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(_OURS, "Experiment", "experiments"),
        Kind(_OURS, "TrainingRun", "trainingruns"),
        Kind(_OURS, "RegisteredModel", "registeredmodels"),
        Kind(_OURS, "ModelApproval", "modelapprovals"),
        Kind("v1", "ConfigMap", "configmaps"),
        Kind("v1", "Event", "events"),
        Kind("v1", "Namespace", "namespaces", namespaced=False),
        Kind("v1", "Pod", "pods"),
        Kind("v1", "Secret", "secrets"),
        Kind("v1", "Service", "services"),
        Kind("apps/v1", "Deployment", "deployments"),
        Kind(
            "authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
        ),
        Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
        Kind("batch/v1", "Job", "jobs"),
    )
}


def kind_of(kind: str | Kind) -> Kind:
    """Return a kind by its name.

    Raises:
        ValueError: The client does not know the kind. Pass a `Kind`.

    """
    if isinstance(kind, Kind):
        return kind
    if kind not in KINDS:
        raise ValueError(f"{kind} is not a kind that the client knows: {', '.join(KINDS)}")
    return KINDS[kind]


def group_of(plural: str) -> str:
    """Return the API group of a resource of the client's kinds; the core group for any other."""
    return next((kind.group for kind in KINDS.values() if kind.plural == plural), "")
