"""What serving pods say of what they answered, without pods: for the real `modelyard.adapters.pod_traffic.PodTraffic`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from modelyard.adapters.pod_counters import Counters
from modelyard.kube.names import VERSION_LABEL
from modelyard.plan import Manifest

__all__ = ["FakePods"]


class FakePods:
    """All serving pods.

    Attributes:
        said: By version, the requests that each of its pods has answered, and how many of them failed.
        load: By version, what is added to that each time that a pod is asked.
        asked: Pods that were asked, by name, in order.

    """

    def __init__(self) -> None:
        self.said: dict[str, tuple[int, int]] = {}
        self.load: dict[str, tuple[int, int]] = {}
        self.asked: list[str] = []

    async def read(self, pods: Iterable[Manifest]) -> Mapping[str, Counters]:
        found: dict[str, Counters] = {}
        for pod in pods:
            self.asked.append(pod["metadata"]["name"])
            version = (pod["metadata"].get("labels") or {}).get(VERSION_LABEL, "")
            if version in self.load:
                said, more = self.said.get(version, (0, 0)), self.load[version]
                self.said[version] = (said[0] + more[0], said[1] + more[1])
            if version in self.said:
                found[pod["metadata"]["uid"]] = Counters("the only process", *self.said[version])
        return found
