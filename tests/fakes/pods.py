"""Traffic counters of serving pods, without pods: for the real
`modelyard.adapters.pod_traffic.PodTraffic`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from modelyard.adapters.pod_counters import Counters
from modelyard.kube.names import TRAFFIC_ANNOTATION, VERSION_LABEL
from modelyard.plan import Manifest
from modelyard.traffic import Arm

__all__ = ["FakePods"]


class FakePods:
    """All serving pods.

    Attributes:
        said: By version, the requests that each of its pods has answered, and its failures.
        load: By version, what each read of a pod adds to that.
        drawn: By version, the requests that each of its pods draws for itself and for the
            candidate per read while it has a rule. Pods of other versions do not split.
        behind: By pod's name, the revision that it still applies, whatever its rule.
        silent: Names of pods that do not answer.
        asked: The pods that were read, by name, in order.

    """

    def __init__(self) -> None:
        self.said: dict[str, tuple[int, int]] = {}
        self.load: dict[str, tuple[int, int]] = {}
        self.drawn: dict[str, tuple[Arm, Arm]] = {}
        self.behind: dict[str, int] = {}
        self.silent: set[str] = set()
        self.asked: list[str] = []
        self._counted: dict[str, tuple[int, Arm, Arm]] = {}

    async def read(self, pods: Iterable[Manifest]) -> Mapping[str, Counters]:
        found: dict[str, Counters] = {}
        for pod in pods:
            name = pod["metadata"]["name"]
            self.asked.append(name)
            version = (pod["metadata"].get("labels") or {}).get(VERSION_LABEL, "")
            if version in self.load:
                said, more = self.said.get(version, (0, 0)), self.load[version]
                self.said[version] = (said[0] + more[0], said[1] + more[1])
            split = self._split(pod, version)
            if name not in self.silent and (version in self.said or split is not None):
                found[pod["metadata"]["uid"]] = Counters(
                    "the only process", *self.said.get(version, (0, 0)), *(split or ())
                )
        return found

    def _split(self, pod: Manifest, version: str) -> tuple[int, Arm, Arm] | None:
        """Return what a pod has counted under the rule that its annotation has; another revision
        counts from zero.
        """
        if version not in self.drawn:
            return None
        meta = pod["metadata"]
        rule = (meta.get("annotations") or {}).get(TRAFFIC_ANNOTATION)
        revision = self.behind.get(meta["name"], json.loads(rule)["revision"] if rule else 0)
        before = self._counted.get(meta["uid"], (0, Arm(), Arm()))
        arms = before[1:] if before[0] == revision else (Arm(), Arm())
        if revision:
            arms = tuple(
                _plus(arm, more) for arm, more in zip(arms, self.drawn[version], strict=True)
            )
        self._counted[meta["uid"]] = found = (revision, *arms)
        return found


def _plus(arm: Arm, more: Arm) -> Arm:
    latency = {
        number: arm.latency.get(number, 0) + more.latency.get(number, 0)
        for number in arm.latency.keys() | more.latency.keys()
    }
    return Arm(
        arm.requests + more.requests,
        arm.failures + more.failures,
        arm.refusals + more.refusals,
        latency,
    )
