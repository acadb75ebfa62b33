"""The largest possible models: as many and as long gates as allowed, for the greatest cost of CEL
rules and policies.
"""

from itertools import cycle, islice
from typing import Any

from modelyard.api.gates import GATES, Gate
from tests.api.objects import DIGEST, Manifest

__all__ = ["EVERY", "KINDS", "LARGEST_KEY", "largest_stages"]

STAGES = 16
_METRIC, _NUMBER, _LONG = "m" * 250, "-" + "9" * 31, "9" * 15 + "d"
# On P-521, the largest curve, with as much white space as possible.
LARGEST_KEY = (
    "-----BEGIN PUBLIC KEY-----\nMIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQ"
    + "A" * 176
    + "=\n-----END PUBLIC KEY-----"
).ljust(512)
_QUANTITIES = {f"example.com/{'r' * 20}-{number:02}": "9" * 31 + "M" for number in range(8)}
_LARGEST: dict[str, Manifest] = {
    "metric": {"name": _METRIC, "atLeast": _NUMBER, "atMost": _NUMBER},
    "incumbent": {
        "stage": "",
        "metric": _METRIC,
        "tolerance": "9" * 32,
        "samples": {"metric": _METRIC, "atLeast": 10**12},
    },
    "signature": {"stage": ""},
    "soak": {"stage": "", "for": _LONG},
    "dataset": {"digest": DIGEST, "maxAge": _LONG},
    # 128 of these, with managed fields, are as much as etcd accepts: fewer variables and quantities
    # than possible.
    "job": {
        "image": "i" * 512,
        "command": ["c"] * 64,
        "args": ["a" * 8] * 256,
        "env": [{"name": f"E{number:02}{'E' * 37}", "value": "v" * 16} for number in range(12)],
        "resources": {"requests": _QUANTITIES, "limits": _QUANTITIES},
        "timeout": _LONG,
        "retries": 5,
        "candidate": "Served",
    },
    "smoke": {
        "requests": {"uri": f"s3://{'b' * 63}/{'k' * 950}", "digest": DIGEST},
        "maxLatency": "9" * 14 + "ms",
        "tolerance": "9" * 32,
    },
    "signed": {"keys": [LARGEST_KEY] * 4},
    "approvals": {"atLeast": 8, "expireAfter": _LONG, "excludeRegistrar": "Required"},
    "external": {},
}
_HOLD = {"hold": "999999s"}
_ROLLOUT: Manifest = {
    "strategy": "Canary",
    "steps": [_HOLD] * 16,
    "sticky": {"header": "h" * 64},
    "invite": {"header": "h" * 64},
    "analysis": {
        "interval": "600s",
        "falseAlarms": f"0.{'1' * 30}",
        "metrics": [
            {
                "name": f"{at}{'m' * 29}",
                "errorRate": {"timesStable": f"1.{'1' * 30}", "moreThanStable": f"0.{'1' * 30}"},
            }
            for at in range(4)
        ],
    },
}
KINDS = tuple(sorted(Gate.model_fields.keys() - {"name"}))
EVERY = "every kind"


def largest_stages(kind: str, **more: Any) -> dict[str, Manifest]:
    """Return as many stages as possible, each with as many gates as possible, of this kind or of
    every kind in turn.
    """
    kinds = cycle(KINDS if kind == EVERY else (kind,))
    names = [f"{number:02}{'s' * 28}" for number in range(STAGES)]
    asked = {
        "requestedBy": "u" * 253,
        "reason": "r" * 256,
        "version": "v1",
        "reverify": {"every": "99999999m"},
    } | more
    asked |= {
        "rollback": {
            "window": "999999s",
            "automatic": {"watchFor": "79999s", "maxErrorRate": f"0.{'1' * 30}"},
        }
    }
    asked |= {"rollout": _ROLLOUT}
    return {
        name: asked
        | {"from": names[number - 1]}
        | {
            "gates": [
                _gate(f"{at}{name}"[:30], each, names[number - 1])
                for at, each in enumerate(islice(kinds, GATES))
            ]
        }
        for number, name in enumerate(names)
    }


def _gate(name: str, kind: str, other: str) -> Manifest:
    gate = _LARGEST[kind]
    return {"name": name, kind: gate | ({"stage": other} if "stage" in gate else {})}
