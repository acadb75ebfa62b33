"""The client itself: one cluster, one user, one namespace, and the three kinds. What each can do is
in a module of its own.

Those are loaded when they are asked for: the command line asks for one of them at most.
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
    """What a person does with modelyard. Making one asks nobody; the first call does.

    Args:
        namespace: Where to work; the context's namespace if absent.
        context: The kubeconfig's context; the current one if absent.
        kubeconfig: Path of the kubeconfig; $KUBECONFIG, ~/.kube/config or the pod's account if
            absent.
        acting: The user to act as, as `kubectl --as`: `Impersonation("vera", groups=("team",))`.
            What it does not say, the kubeconfig's user may (`as`, `as-groups`, `as-uid`,
            `as-user-extra`).

    Attributes:
        kube: Kubernetes itself, for what the rest does not do.

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
        """MLflow experiments and what is kept of them."""
        from modelyard.client.experiments import Experiments  # noqa: PLC0415 - not before it is asked for (decision 0010)

        return Experiments(self.kube)

    @cached_property
    def runs(self) -> "Runs":
        """Trainings, in the cluster and here."""
        from modelyard.client.runs import Runs  # noqa: PLC0415 - not before it is asked for (decision 0010)

        return Runs(self.kube, self._reach)

    @cached_property
    def models(self) -> "Models":
        """Registered models: versions, stages, serving."""
        from modelyard.client.models import Models  # noqa: PLC0415 - not before it is asked for (decision 0010)

        return Models(self.kube, self._reach)

    @property
    def namespace(self) -> str:
        """The namespace that is worked in."""
        return self.kube.namespace

    def __repr__(self) -> str:
        return f"<Client of the namespace {self.namespace}>"

    @contextmanager
    def mlflow(self) -> Iterator[Any]:
        """Let MLflow's own client talk to the namespace's MLflow and S3, for the length of a block;
        yields the module `mlflow`.

            with client.mlflow() as mlflow:
                model = mlflow.pyfunc.load_model("models:/risk.fraud/Production")

        For reading what no object says. What is changed there goes around the objects, and is put
        back by them.

        Raises:
            Missing: MLflow is not installed.
            NotAllowed: The user may not read the Secret modelyard-connection.

        """
        from modelyard.client.tracking import connected  # noqa: PLC0415 - not before it is asked for (decision 0010)

        with connected(self.kube, self._reach, "MLflow's own client") as mlflow:
            yield mlflow

    def close(self) -> None:
        """Give the connections back; `with Client(...) as client:` does it at the block's end."""
        self._reach.close()
        self.kube.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
