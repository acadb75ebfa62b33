"""`Client`: one cluster, one user, one namespace.

`experiments`, `runs` and `models` are imported on first access: the command line needs one of them
at most.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from modelyard.client.kube import Impersonation, Kube
from modelyard.client.kube.reach import Reach

if TYPE_CHECKING:
    from modelyard.client.experiments import Experiments
    from modelyard.client.models import Models
    from modelyard.client.runs import Runs

__all__ = ["Client"]


class Client:
    """A client for modelyard's objects in one namespace. It connects on the first call.

    Use it as a context manager, or call `close`, to close its connections and port-forwards.

    Args:
        namespace: The namespace; the context's namespace if absent.
        context: The kubeconfig's context; the current one if absent.
        kubeconfig: Path of the kubeconfig. Absent: $KUBECONFIG, else ~/.kube/config, else the
            pod's service account.
        acting: The user to impersonate, as with `kubectl --as`:
            `Impersonation("vera", groups=("team",))`. What it leaves empty is taken from the
            kubeconfig's user (`as`, `as-groups`, `as-uid`, `as-user-extra`).

    Attributes:
        kube: The Kubernetes client, for objects of any kind.

    """

    def __init__(
        self,
        namespace: str | None = None,
        context: str | None = None,
        kubeconfig: str | None = None,
        *,
        acting: Impersonation | None = None,
    ) -> None:
        self.kube = Kube(namespace, context, kubeconfig, acting=acting)
        self._reach = Reach(self.kube)

    @cached_property
    def experiments(self) -> "Experiments":
        """The Experiments: MLflow experiments and their retention."""
        from modelyard.client.experiments import Experiments  # noqa: PLC0415 - imported on first use (decision 0010)

        return Experiments(self.kube)

    @cached_property
    def runs(self) -> "Runs":
        """The TrainingRuns: trainings in the cluster and in this process."""
        from modelyard.client.runs import Runs  # noqa: PLC0415 - imported on first use (decision 0010)

        return Runs(self.kube, self._reach)

    @cached_property
    def models(self) -> "Models":
        """The RegisteredModels: versions, stages, serving."""
        from modelyard.client.models import Models  # noqa: PLC0415 - imported on first use (decision 0010)

        return Models(self.kube, self._reach)

    @property
    def namespace(self) -> str:
        """The namespace of the client's objects."""
        return self.kube.namespace

    def __repr__(self) -> str:
        return f"<Client of the namespace {self.namespace}>"

    @contextmanager
    def mlflow(self) -> Iterator[Any]:
        """Point the module `mlflow` at the namespace's MLflow and S3 for the length of a block.

            with client.mlflow() as mlflow:
                model = mlflow.pyfunc.load_model("models:/risk.fraud/Production")

        Use it to read what the objects do not show. The operator reverts changes that are made
        there to what an object declares.

        Yields:
            The module `mlflow`.

        Raises:
            Missing: MLflow is not installed.
            NotAllowed: The user may not read the Secret modelyard-connection.
            Failed: The namespace has no connection (reason `ConnectionMissing`).
            Unreachable: MLflow or S3 does not answer.

        """
        from modelyard.client.tracking import connected  # noqa: PLC0415 - imported on first use (decision 0010)

        with connected(self.kube, self._reach, "MLflow's own client") as mlflow:
            yield mlflow

    def close(self) -> None:
        """Close the connections and port-forwards; a `with` block does so at its end."""
        self._reach.close()
        self.kube.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
