"""The matrix: each case with each account; and each policy removed once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.adapters.kubernetes import Kubernetes
from modelyard.adapters.kubernetes_api import Api, configuration
from modelyard.cache import Cache
from modelyard.cli.commands.doctor import installed
from modelyard.kube.policies import NAMES, problem
from tests.chart.api import Manifest, eventually, path_of
from tests.chart.helm import NAMESPACE, RELEASE
from tests.chart.policies import deletion, evidence, held, models, operator, people, runs, serving
from tests.chart.policies.injector import SIDECAR, WEBHOOKS, injecting
from tests.chart.policies.objects import SPACE, served, workload
from tests.chart.policies.row import Row, refused_by
from tests.chart.policies.world import ADMISSION, BINDINGS, World, world

pytestmark = pytest.mark.api

ROWS: list[Row] = [
    *models.ROWS,
    *deletion.ROWS,
    *runs.ROWS,
    *held.ROWS,
    *serving.ROWS,
    *evidence.ROWS,
    *operator.ROWS,
    *people.ROWS,
]
BY_POLICY: dict[str, list[Row]] = defaultdict(list)
for each in ROWS:
    if each.refused:
        BY_POLICY[each.policy].append(each)
POLICIES = [policy for policy in BY_POLICY if "|" not in policy]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("matrix")) as running:
        for policy in POLICIES:
            wait(running, policy, refuses=True)
        yield running


def wait(there: World, policy: str, *, refuses: bool) -> None:
    """Wait until a policy takes or loses effect, which is a moment after its binding changes."""
    probe = BY_POLICY[policy][0]
    person = there.people[probe.refused.split()[0]]
    eventually(
        lambda: (refused_by(probe.request.send(there.admin, person)) == policy) is refuses,
        f"{policy} is in force: {refuses}",
    )


def test_each_case_has_its_own_name():
    named = [(row.policy, row.what) for row in ROWS]
    assert len(named) == len(set(named))
    assert all(row.people for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.policy}: {row.what}")
def test_a_case_is_refused_to_exactly_the_named_accounts(there: World, row: Row):
    wrong = []
    for name, allowed in row.people.items():
        answer = row.request.send(there.admin, there.people[name])
        by = refused_by(answer)
        refused = by in row.policy.split("|") and row.says in answer.message
        if not (answer.code in {200, 201} if allowed else refused):
            wrong.append(f"{name}: {answer.code} {answer.message}")
    assert not wrong, "\n".join(wrong)


def test_the_policies_in_force_match_the_operator_s_settings(there: World):
    """The hashes are Helm's, the specs the API server's, with its defaults."""
    deployment = there.admin.get(path_of("apps/v1/deployments", NAMESPACE, RELEASE)).body
    wanted = installed(deployment)
    assert [*wanted] == [f"{RELEASE}-{name}" for name in NAMES]
    for name, hashes in wanted.items():
        policy, binding = (
            there.admin.get(path_of(resource, name=name)).body for resource in (ADMISSION, BINDINGS)
        )
        assert problem(policy, binding, hashes) is None, name
        policy["spec"]["failurePolicy"] = (
            "Ignore" if policy["spec"]["failurePolicy"] == "Fail" else "Fail"
        )
        assert problem(policy, binding, hashes) == "the policy is not the one that was installed"


async def test_the_operator_detects_whether_approvals_can_be_trusted(there: World):
    """It sends a dry run, which the policy refuses with a known message; the answer is cached for a
    resync.
    """
    path = path_of(BINDINGS, name="modelyard-approval")
    binding = there.admin.get(path).body
    api = await session(str(there.server.kubeconfig))
    try:
        always, kept = (Kubernetes(api, Cache(()), resync=seconds) for seconds in (0, 300))
        assert [await each.unguarded(SPACE) for each in (always, kept)] == [None, None]
        assert there.admin.delete(path).code == 200
        wait(there, "approval", refuses=False)
        assert "any user may approve in another's name here" in str(await always.unguarded(SPACE))
        assert await kept.unguarded(SPACE) is None
        assert "cannot be asked" in str(await always.unguarded("nowhere"))
    finally:
        await api.close()
        meta = {"name": binding["metadata"]["name"], "labels": binding["metadata"]["labels"]}
        there.admin.create(path_of(BINDINGS), binding | {"metadata": meta})
        wait(there, "approval", refuses=True)


async def session(kubeconfig: str) -> Api:
    """Return the adapter's session with the API server, as its administrator."""
    return Api(await configuration(kubeconfig), lambda *_: None, deadline=10)


def test_a_viewer_may_send_none_of_these_requests(there: World):
    for row in ROWS:
        answer = row.request.send(there.admin, there.viewer)
        assert answer.code == 403, row
        assert "cannot" in answer.message
        assert not refused_by(answer), row


@pytest.mark.parametrize("policy", POLICIES)
def test_without_its_policy_every_case_is_allowed(there: World, policy: str):
    """No case is refused for another reason, such as a missing RBAC right or a name in use."""
    path = path_of(BINDINGS, name=f"modelyard-{policy}")
    binding = there.admin.get(path).body
    assert there.admin.delete(path).code == 200
    try:
        wait(there, policy, refuses=False)
        passed = []
        for row in BY_POLICY[policy]:
            if row.request.dry:
                for name in row.refused.split():
                    answer = row.request.send(there.admin, there.people[name])
                    passed.append((row.what, name, answer.code in {200, 201}, answer.message))
    finally:
        meta = {"name": binding["metadata"]["name"], "labels": binding["metadata"]["labels"]}
        assert there.admin.create(path_of(BINDINGS), binding | {"metadata": meta}).code == 201
        wait(there, policy, refuses=True)
    assert passed
    assert [each for each in passed if not each[2]] == []


def test_a_service_mesh_may_add_its_container_to_serving_pods_and_users_cannot_exploit_that(
    there: World, tmp_path: Path
):
    """The policies see a pod after the webhooks, and the account that sent it."""
    path, pod = (
        path_of("v1/pods", SPACE) + "?dryRun=All",
        workload("Pod", "meshed", served("production")),
    )
    with injecting(tmp_path) as configuration:
        assert there.admin.create(path_of(WEBHOOKS), configuration).code == 201
        try:
            plain = workload("Pod", "meshed")

            def containers(person: str, body: Manifest) -> list[str]:
                answer = there.people[person].create(path, body)
                assert answer.code == 201, answer.message
                return [each["name"] for each in answer.body["spec"]["containers"]]

            eventually(lambda: SIDECAR in containers("dora", plain), "the webhook is asked")
            assert containers("replicasets", pod) == ["c", SIDECAR]
            assert refused_by(there.people["dora"].create(path, pod)) == "serving"
        finally:
            there.admin.delete(path_of(WEBHOOKS, name="injector"))
