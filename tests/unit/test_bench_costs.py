"""The guard of a prediction's cost: it reports a fifth more than in any recorded run, and nothing
less.
"""

from tests.bench import costs
from tests.bench.figures import Samples
from tests.bench.serving import OURS


def samples(ours: float, before: float) -> Samples:
    found, cell = Samples(), costs.CELLS[0]
    for name, cpu in ((OURS, ours), (costs.BEFORE, before)):
        for noise in (0.9, 1.0, 1.1):
            found.add(f"{name} {cell}", {"cpu": cpu * noise})
    return found


def test_a_cost_a_fifth_above_every_recorded_run_is_reported():
    known = {f"{costs.BEFORE} {costs.CELLS[0]}": (0.18, 0.20)}
    assert costs.worse(samples(0.23, 1), known) == []
    (said,) = costs.worse(samples(0.25, 1), known)
    assert "0.250 times as much, between 0.180 and 0.200 before" in said
    assert costs.worse(samples(0.25, 1), {}) == []
