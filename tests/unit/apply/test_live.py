"""What exists already, read with few requests."""

from __future__ import annotations

from collections import Counter

import pytest

from codexctl_tasks.apply.live import FEW, Address, Live, address_of, read_live
from codexctl_tasks.errors import ClusterError, TransientClusterError
from codexctl_tasks.world.cluster import Resource
from tests.support.fakes import FakeClock, FakeCluster
from tests.support.objects import placed, yaml_of
from tests.support.plans import apply

MAPS = Resource("v1", "ConfigMap", "configmaps", namespaced=True)


def _texts(count: int, kind: str = "ConfigMap", namespace: str = "shop") -> str:
    return "".join(yaml_of(kind, f"o{n}", f"  namespace: {namespace}") for n in range(count))


def _addresses(text: str) -> list[Address]:
    return [address_of(each.name, each.resource) for each in placed(text)]


def _read(cluster: FakeCluster, text: str) -> Live:
    cluster.calls.clear()
    return read_live(_addresses(text), cluster)


def _requests(cluster: FakeCluster) -> Counter[str]:
    return Counter(call.rpartition(" o")[0] or call for call in cluster.calls)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def test_one_list_per_kind_and_namespace(cluster: FakeCluster) -> None:
    """A thousand objects of two kinds in two namespaces cost three requests."""
    text = _texts(400) + _texts(400, "Secret") + _texts(200, namespace="other")

    _read(cluster, text)

    assert _requests(cluster) == {"list ConfigMap": 2, "list Secret": 1}


@pytest.mark.parametrize("count", [1, FEW, FEW + 1])
def test_a_few_objects_are_asked_for_by_name(cluster: FakeCluster, count: int) -> None:
    """A namespace full of other people's Secrets is not read for three of ours."""
    _read(cluster, _texts(count, "Secret") * 2)

    expected = {"list Secret": 1} if count > FEW else {"get Secret": count}
    assert _requests(cluster) == expected


@pytest.mark.parametrize("count", [2, 5])
def test_what_exists_is_found_and_nothing_else(
    cluster: FakeCluster, clock: FakeClock, count: int
) -> None:
    """Objects of other names and namespaces are not taken for ours."""
    apply(_texts(count), cluster, clock)

    live = _read(cluster, _texts(count + 1) + _texts(count, namespace="other"))

    for address in _addresses(_texts(count)):
        found = live.find(address)
        assert found is not None
        assert found["metadata"]["name"] == address.name
    for address in [*_addresses(_texts(count, namespace="other")), Address(MAPS, "shop", "o9")]:
        assert live.find(address) is None
        assert live.is_known(address)
    assert live.find(Address(MAPS, "shop", f"o{count}")) is None


class _NoLists(FakeCluster):
    """Objects may be read by name only, as roles with ``resourceNames`` allow."""

    def list_objects(self, *_: object) -> tuple[list[object], str]:  # type: ignore[override]
        self.calls.append("list")
        raise ClusterError("GET", "forbidden", status=403)


def test_without_permission_to_list_objects_are_asked_for_by_name(clock: FakeClock) -> None:
    """A narrow role suffices to see what is unchanged."""
    cluster = _NoLists()
    apply(_texts(2), cluster, clock)

    live = _read(cluster, _texts(5))

    assert live.find(Address(MAPS, "shop", "o1")) is not None
    assert live.is_known(Address(MAPS, "shop", "o4"))
    assert Counter(call.split()[0] for call in cluster.calls) == {"list": 1, "get": 5}


@pytest.mark.parametrize("count", [2, 5])
def test_what_may_not_be_read_is_unknown_rather_than_absent(
    cluster: FakeCluster, clock: FakeClock, count: int
) -> None:
    """Nothing is pruned or called new because of a missing permission; others are still read."""
    apply(_texts(count) + _texts(count, "Secret"), cluster, clock)
    cluster.forbidden_kinds.add("Secret")

    live = _read(cluster, _texts(count) + _texts(count, "Secret"))

    secret = Address(Resource("v1", "Secret", "secrets", namespaced=True), "shop", "o0")
    assert (live.find(secret), live.is_known(secret)) == (None, False)
    assert live.find(Address(MAPS, "shop", "o0")) is not None
    assert _requests(cluster)["get Secret"] == 1  # the first refusal tells enough


def test_a_kind_that_is_not_served_yet_has_no_objects() -> None:
    """Its definition is applied in the same run: the objects are new."""

    class _Unserved(FakeCluster):
        def list_objects(self, *_: object) -> tuple[list[object], str]:  # type: ignore[override]
            raise ClusterError("GET", "404 page not found", status=404)

    live = _read(_Unserved(), _texts(5))

    assert live.is_known(Address(MAPS, "shop", "o0"))
    assert live.find(Address(MAPS, "shop", "o0")) is None


@pytest.mark.parametrize("count", [2, 5])
def test_other_trouble_is_not_taken_for_absence(count: int) -> None:
    """A server that fails ends the run: nobody knows what exists."""

    class _Broken(FakeCluster):
        def get(self, *_: object) -> None:
            raise TransientClusterError("GET", "internal error", status=500)

        def list_objects(self, *_: object) -> tuple[list[object], str]:  # type: ignore[override]
            raise TransientClusterError("GET", "internal error", status=500)

    with pytest.raises(TransientClusterError):
        _read(_Broken(), _texts(count))


def test_nothing_costs_nothing(cluster: FakeCluster) -> None:
    """An empty set sends no request; cluster-wide kinds have no namespace."""
    _read(cluster, "")
    assert cluster.calls == []

    _read(cluster, _texts(5, "Namespace"))
    assert cluster.calls == ["list Namespace"]
