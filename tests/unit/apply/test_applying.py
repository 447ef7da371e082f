"""Server-side apply, stage by stage, and the account of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.apply.applying import (
    ESTABLISH_TIMEOUT_S,
    REFUSED_AFTER_S,
    Account,
    apply_stage,
    await_definitions,
    await_namespace,
)
from codexctl_tasks.apply.sending import Change
from codexctl_tasks.errors import (
    ClusterError,
    CombinedError,
    DeadlineError,
    TransientClusterError,
)
from codexctl_tasks.world.cluster import CONNECTIONS
from tests.support.fakes import FakeClock, FakeCluster
from tests.support.objects import yaml_of
from tests.support.plans import apply, plan_of, sender_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from codexctl_tasks.apply.plan import Step
    from codexctl_tasks.apply.sending import Applied

TWO = yaml_of("ConfigMap", "a", "data: {k: v}") + yaml_of("ConfigMap", "b")
THREE = TWO + yaml_of("ConfigMap", "c")
MANY = "".join(yaml_of("ConfigMap", f"c{n:02}") for n in range(3 * CONNECTIONS))


class _Desk:
    """Applies stages and keeps account."""

    def __init__(self, cluster: FakeCluster, clock: FakeClock) -> None:
        self.cluster, self.clock = cluster, clock
        self.told: list[Applied] = []
        self.account = Account([])

    def apply(self, text: str, check: Callable[[], None] = lambda: None, **more: Any) -> None:
        steps = plan_of(text, self.cluster).steps
        self.account = Account(steps)
        sender = sender_of(self.cluster, self.clock, **more)
        apply_stage(steps, sender, self.account, tell=self.told.append, check=check)

    def refused(self, text: str, **more: Any) -> CombinedError:
        with pytest.raises(CombinedError) as caught:
            self.apply(text, **more)
        return caught.value


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def desk(cluster: FakeCluster, clock: FakeClock) -> _Desk:
    return _Desk(cluster, clock)


def test_each_object_is_told_as_soon_as_it_is_applied(desk: _Desk) -> None:
    """The log grows while a large stage is on its way; the account has everything at the end."""
    desk.apply(TWO)
    assert {a.change for a in desk.told} == {Change.CREATED}

    desk.told.clear()
    desk.apply(TWO.replace("k: v", "k: w"))

    changes = {a.name.name: a.change for a in desk.told}
    assert changes == {"a": Change.CHANGED, "b": Change.UNCHANGED}
    assert {id(a) for a in desk.told} == {id(a) for a in desk.account.applied}
    assert (desk.account.in_flight, desk.account.not_sent, desk.account.total) == ([], [], 2)


def test_a_second_deploy_sends_nothing(cluster: FakeCluster, desk: _Desk) -> None:
    """Forty unchanged objects cost one LIST and no write."""
    text = "".join(yaml_of("ConfigMap", f"c{n}", "data: {k: v}") for n in range(40))
    desk.apply(text)
    cluster.calls.clear()

    desk.apply(text)

    assert cluster.calls == ["list ConfigMap"]
    assert len(desk.account.applied) == 40
    assert len(desk.account.uids) == 40


@pytest.mark.parametrize("code", [403, 422])
def test_everything_in_a_stage_is_attempted_and_every_refusal_told(
    cluster: FakeCluster, desk: _Desk, code: int
) -> None:
    """One run shows all refusals with their lines, and applies the rest of the stage."""
    for name in ("a", "c"):
        cluster.refusals[name] = ClusterError("PATCH", "no", status=code)

    error = desk.refused(THREE)

    assert [str(p).split(": ")[:2] for p in error.problems] == [
        ["f.yaml:1", "ConfigMap shop/a"],
        ["f.yaml:12", "ConfigMap shop/c"],
    ]
    assert error.exit_code == 4
    assert list(cluster.objects) == [("ConfigMap", "shop", "b")]
    assert [a.name.name for a in desk.account.applied] == ["b"]
    assert (desk.account.in_flight, desk.account.not_sent) == ([], [])


def test_a_server_that_fails_for_one_object_does_not_stop_the_others(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """A webhook may break for one kind only; the object is named."""
    cluster.refusals["a"] = TransientClusterError("PATCH", "internal error", status=500)

    assert str(desk.refused(THREE)).startswith("f.yaml:1: ConfigMap shop/a: internal error")
    assert len(cluster.objects) == 2


def test_no_connection_ends_the_stage(cluster: FakeCluster, desk: _Desk) -> None:
    """It was tried for long: the other objects are not tried as long again, one after the other."""
    for n in range(3 * CONNECTIONS):
        cluster.refusals[f"c{n:02}"] = TransientClusterError("https://c", "cannot be reached")

    with pytest.raises(TransientClusterError):
        desk.apply(MANY)

    assert sum(c.startswith("apply") for c in cluster.calls) <= 2 * CONNECTIONS
    assert desk.account.applied == []
    assert len(desk.account.in_flight) + len(desk.account.not_sent) == 3 * CONNECTIONS
    assert desk.account.in_flight


class _OneLate(FakeCluster):
    """Answers for one object only after the outcome of another one is in the account."""

    def __init__(self, late: str) -> None:
        super().__init__()
        self.late, self.go_on = late, threading.Event()

    def apply(self, resource: Any, namespace: str, body: Any, **more: Any) -> Any:
        if body["metadata"]["name"] == self.late:
            assert self.go_on.wait(30)
        return super().apply(resource, namespace, body, **more)

    def refused(self, text: str, clock: FakeClock) -> CombinedError:
        """Apply a stage that is refused."""
        go_on = self.go_on

        class _Account(Account):
            def finish(self, step: Step, applied: Applied | None) -> None:
                super().finish(step, applied)
                if applied is None:
                    go_on.set()

        steps = plan_of(text, self).steps
        with pytest.raises(CombinedError) as caught:
            apply_stage(steps, sender_of(self, clock), _Account(steps), tell=lambda _: None)
        return caught.value


def test_refusals_are_told_although_the_connection_breaks(clock: FakeClock) -> None:
    """What was refused before is as true as the reason why the run ended."""
    cluster = _OneLate("c")
    cluster.refusals["a"] = ClusterError("PATCH", "no", status=422)
    cluster.refusals["c"] = TransientClusterError("https://c", "cannot be reached")

    error = cluster.refused(THREE, clock)

    assert [str(p).partition(":")[0] for p in error.problems] == ["f.yaml", "https"]


def test_refusals_are_told_in_the_order_of_the_manifests(clock: FakeClock) -> None:
    """Whichever answer comes first: two runs on the same mistakes read the same."""
    cluster = _OneLate("a")
    for name in ("a", "c"):
        cluster.refusals[name] = ClusterError("PATCH", "no", status=422)

    error = cluster.refused(THREE, clock)

    assert [str(p.location) for p in error.problems] == ["f.yaml:1", "f.yaml:12"]


def test_an_object_that_needs_too_long_is_told_with_the_others(
    cluster: FakeCluster, desk: _Desk
) -> None:
    """A finalizer holds one of three: the other two are applied."""
    desk.apply(THREE)
    key = ("ConfigMap", "shop", "a")
    metadata = cluster.objects[key]["metadata"]
    metadata |= {"finalizers": ["x.io/hold"], "deletionTimestamp": "2026-01-02T12:00:00Z"}

    error = desk.refused(THREE.replace("k: v", "k: w"), deadline_s=20.0)

    assert [type(p) for p in error.problems] == [DeadlineError]
    assert error.exit_code == 70
    assert len(desk.account.applied) == 2


def test_what_is_not_sent_in_time_is_called_so(desk: _Desk) -> None:
    """One line about the time, not one for each of a thousand objects; the account has them."""
    with pytest.raises(DeadlineError, match="it was not sent"):
        desk.apply(MANY, deadline_s=0.0)

    assert desk.cluster.objects == {}
    assert desk.account.in_flight == []
    assert len(desk.account.not_sent) == 3 * CONNECTIONS


def test_who_lost_the_turn_sends_nothing_more(cluster: FakeCluster, desk: _Desk) -> None:
    """Another run has taken over: at most what is on its way already arrives."""
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        if len(asked) > CONNECTIONS:
            raise ClusterError("Lease shop/codexctl-web", "taken over by somebody")

    with pytest.raises(ClusterError, match="taken over"):
        desk.apply(MANY, check=check)

    sent = sum(c.startswith("apply") for c in cluster.calls)
    assert sent <= CONNECTIONS
    assert len(desk.account.not_sent) >= CONNECTIONS
    assert not set(desk.account.not_sent) & {a.name for a in desk.account.applied}


def test_the_account_follows_another_plan(cluster: FakeCluster) -> None:
    """When a run has to plan anew, what it has done so far still counts."""
    first, second, third = plan_of(THREE, cluster).steps
    account = Account([first])

    account.begin(first)
    assert account.in_flight == [first.name]
    account.finish(first, None)
    account.replan([first, second, third])
    account.begin(second)

    assert account.total == 3
    assert (account.in_flight, account.not_sent) == ([second.name], [third.name])
    assert account.uids == set()


def _definition(cluster: FakeCluster, clock: FakeClock) -> list[Applied]:
    return apply(yaml_of("CustomResourceDefinition", "things.g.io"), cluster, clock)


NEEDED = {"things.g.io"}
ESTABLISHED = {"conditions": [{"type": "Established", "status": "True"}]}


def test_definitions_are_awaited(cluster: FakeCluster, clock: FakeClock) -> None:
    """Objects of a new kind are applied only once the server knows the kind."""
    applied = _definition(cluster, clock)
    looks = iter([{}, {"conditions": [{"type": "Established", "status": "False"}]}])

    class _Establishing(FakeCluster):
        def get(self, *_: Any) -> dict[str, Any]:
            return {"status": next(looks, ESTABLISHED)}

    await_definitions(applied, _Establishing(), clock, NEEDED)

    assert len(clock.sleeps) == 2


def test_a_definition_that_nothing_needs_is_left_to_the_rollout(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """It is judged there, together with everything else."""
    await_definitions(_definition(cluster, clock), FakeCluster(), clock, set())

    assert clock.sleeps == []


def test_a_definition_whose_names_are_taken_says_so(cluster: FakeCluster, clock: FakeClock) -> None:
    """The server's own words, long before the time is over."""
    taken = {"type": "NamesAccepted", "status": "False", "message": '"Thing" is already in use'}

    class _Taken(FakeCluster):
        def get(self, *_: Any) -> dict[str, Any]:
            return {"status": {"conditions": [taken]}}

    with pytest.raises(ClusterError, match='is not accepted: "Thing" is already in use'):
        await_definitions(_definition(cluster, clock), _Taken(), clock, NEEDED)
    assert REFUSED_AFTER_S <= clock.time < REFUSED_AFTER_S + 1


def test_an_unchanged_definition_is_not_looked_at(cluster: FakeCluster, clock: FakeClock) -> None:
    """It is served since an earlier deploy: that costs no request."""
    [first] = _definition(cluster, clock)
    cluster.objects["CustomResourceDefinition", "", "things.g.io"]["status"] = ESTABLISHED
    again = _definition(cluster, clock)
    assert (first.change, again[0].change) == (Change.CREATED, Change.UNCHANGED)
    cluster.calls.clear()

    await_definitions(again, cluster, clock, NEEDED)

    assert cluster.calls == []


def test_a_definition_that_is_never_served_ends_the_wait(
    cluster: FakeCluster, clock: FakeClock
) -> None:
    """Its name and line are told after half a minute; other kinds are not waited for."""
    await_definitions(apply(TWO, cluster, clock), cluster, clock, NEEDED)
    assert clock.sleeps == []

    with pytest.raises(
        ClusterError, match=r"^f\.yaml:1: CustomResourceDefinition .* is not served"
    ):
        await_definitions(_definition(cluster, clock), FakeCluster(), clock, NEEDED)
    assert ESTABLISH_TIMEOUT_S <= clock.time < ESTABLISH_TIMEOUT_S + 1


class _Namespaces:
    """Looks for namespaces and notes what it is told."""

    def __init__(self, cluster: FakeCluster, clock: FakeClock) -> None:
        self.cluster, self.clock, self.told = cluster, clock, list[str]()

    def exists(self, deadline_s: float = 60.0) -> bool:
        return await_namespace(
            "shop", "f.yaml", self.cluster, self.clock, deadline_s=deadline_s, tell=self.told.append
        )


@pytest.fixture
def namespaces(cluster: FakeCluster, clock: FakeClock) -> _Namespaces:
    return _Namespaces(cluster, clock)


DYING = {"deletionTimestamp": "2026-01-02T12:00:00Z"}


def test_a_namespace_is_there_or_not(cluster: FakeCluster, namespaces: _Namespaces) -> None:
    """One request tells; who may not ask takes it to exist."""
    assert namespaces.exists() is False
    cluster.objects["Namespace", "", "shop"] = {"metadata": {}}
    assert namespaces.exists() is True
    cluster.forbidden_kinds.add("Namespace")
    assert namespaces.exists() is True
    assert (namespaces.told, cluster.calls) == ([], ["get Namespace shop"] * 3)


def test_a_namespace_that_is_being_deleted_is_awaited(
    cluster: FakeCluster, clock: FakeClock, namespaces: _Namespaces
) -> None:
    """Destroy and deploy again: it is said once what is waited for."""
    cluster.objects["Namespace", "", "shop"] = {"metadata": DYING}
    clock.at(5, cluster.objects.clear)

    assert namespaces.exists() is False
    assert namespaces.told == ["Namespace shop is being deleted: waiting until it is gone"]
    assert len(cluster.calls) == 6  # a look each second


def test_what_holds_a_namespace_is_told(cluster: FakeCluster, namespaces: _Namespaces) -> None:
    """Exit code 70 with Kubernetes' own words about what is left in it."""
    remaining = {
        "type": "NamespaceContentRemaining",
        "status": "True",
        "message": "Some resources are remaining: things.g.io has 1 resource instances",
    }
    cluster.objects["Namespace", "", "shop"] = {
        "metadata": DYING,
        "status": {"conditions": [remaining]},
    }

    with pytest.raises(DeadlineError) as caught:
        namespaces.exists(deadline_s=10.0)

    assert "f.yaml: Namespace shop is still being deleted: Some resources are" in str(caught.value)


def test_trouble_while_looking_for_a_namespace_is_told(clock: FakeClock) -> None:
    """Only a missing permission is ignored."""

    class _Broken(FakeCluster):
        def get(self, *_: Any) -> None:
            raise ClusterError("GET", "unauthorized", status=401)

    with pytest.raises(ClusterError, match="unauthorized"):
        _Namespaces(_Broken(), clock).exists()
