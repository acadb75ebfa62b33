"""What the groups of methods of `client.models` share."""

from modelyard.client.kube import Kube
from modelyard.client.kube.reach import Reach
from modelyard.client.versions import ModelHandle

__all__ = ["ModelMethods"]


class ModelMethods:
    """Methods on the RegisteredModels of a namespace; `Models` combines its subclasses."""

    def __init__(self, kube: Kube, reach: Reach) -> None:
        self._kube = kube
        self._reach = reach

    def _model(self, name: str) -> ModelHandle:
        return ModelHandle(self._kube, self._kube.get("RegisteredModel", name))
