"""Tags that follow a spec: applied to a small world until nothing is left to do, with a crash
after any single tag.
"""

from hypothesis import given
from hypothesis import strategies as st

from modelyard.kube.tags import RECORD_TAG, missing, recorded, stale
from tests.unit.builders import PROPERTY

KEYS = st.sampled_from(["team", "tier", "mlflow.source", "a b", "x" * 250])
SPECS = st.dictionaries(KEYS, st.sampled_from(["", "risk", "1"]))
OWNER = {"modelyard.io/uid": "u1"}


def pass_over(there: dict[str, str], spec: dict[str, str], writes: int) -> bool:
    """Run once and fail after a number of writes; return whether there was nothing to do."""
    if gone := stale(spec, there):
        for key in gone[:writes]:
            del there[key]
        return False
    changes = missing(spec | OWNER, spec, there)
    for key in list(changes)[:writes]:
        there[key] = changes[key]
    return not changes


@PROPERTY
@given(
    SPECS,
    st.lists(st.tuples(SPECS, st.lists(st.integers(0, 3), max_size=3)), min_size=1, max_size=4),
    SPECS,
)
def test_the_final_tags_are_the_last_spec_s_and_other_clients_whatever_crashes(
    first, edits, strangers
):
    """Other clients' tags stay, unless the spec has had the same key: then the tag is ours."""
    theirs = {f"their-{key}": value for key, value in strangers.items()}
    there = theirs | first | OWNER | recorded(first)
    for spec, deaths in edits:
        for writes in deaths:
            pass_over(there, spec, writes)
    last = edits[-1][0]
    for _ in range(6):
        if pass_over(there, last, 1000):
            break
    else:
        raise AssertionError("it does not come to rest")
    assert {
        key: value for key, value in there.items() if key != RECORD_TAG
    } == theirs | last | OWNER


def test_without_tags_nothing_is_recorded():
    assert recorded([]) == {}
    assert missing(OWNER, [], {}) == OWNER


def test_a_record_of_the_largest_spec_fits_one_value():
    """MLflow takes 5000 characters in an experiment's tag, and the CRD takes 64 tags."""
    assert len(recorded(f"{number:0250}" for number in range(64))[RECORD_TAG]) < 2 * 64 * 13
