"""What a stack has applied, remembered in the cluster."""

from __future__ import annotations

import base64
import gzip
import re
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codexctl_tasks.apply.bodies import STACK_LABEL
from codexctl_tasks.apply.inventory import LARGEST_TEXT, Inventory, stack_label
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.stack.manifests import ObjectName
from tests.support.fakes import FakeCluster
from tests.support.objects import name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY = ("ConfigMap", "shop", "codexctl-web")
WEB, DB = name_of("Deployment"), name_of("Secret", "db")
ROLE = ObjectName("rbac.authorization.k8s.io/v1", "ClusterRole", "", "system:shop:web")

DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
NAMESPACES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
STACKS = st.text(min_size=1, max_size=300) | st.text("ab.-_A", min_size=1, max_size=70)
TEXTS = st.text(min_size=1, max_size=300).filter(lambda text: text != "-")


def _inventory(cluster: FakeCluster, stack: str = "web", namespace: str = "shop") -> Inventory:
    return Inventory(cluster, stack, namespace)


def _remembered(cluster: FakeCluster) -> frozenset[ObjectName]:
    inventory = _inventory(cluster)
    inventory.read()
    return inventory.names


def _written(cluster: FakeCluster) -> int:
    return sum(call.startswith("apply") for call in cluster.calls)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def test_a_person_can_read_it(cluster: FakeCluster) -> None:
    """``kubectl get configmap -o yaml`` shows what belongs to a stack, grouped by kind."""
    _inventory(cluster).add([WEB, name_of("Deployment", "api"), DB, ROLE])

    found = cluster.objects[KEY]
    assert found["data"]["objects"] == (
        "apps/v1 Deployment shop\n  api\n  web\n"
        "rbac.authorization.k8s.io/v1 ClusterRole -\n  system:shop:web\n"
        "v1 Secret shop\n  db\n"
    )
    assert found["metadata"]["labels"] == {STACK_LABEL: "web.shop"}


@given(st.frozensets(st.builds(ObjectName, TEXTS, TEXTS, st.just("") | TEXTS, TEXTS), max_size=20))
def test_what_is_written_is_read(names: frozenset[ObjectName]) -> None:
    """No name is lost or changed, not even one that only the server will refuse."""
    cluster = FakeCluster()

    _inventory(cluster).add(names)

    if names:
        assert _remembered(cluster) == names
    assert _written(cluster) == bool(names)


def test_a_huge_stack_fits(cluster: FakeCluster) -> None:
    """Twenty thousand objects stay far below the 1 MiB of a ConfigMap; a small one is readable."""
    names = [name_of("Deployment", f"service-{n}-with-quite-a-long-name") for n in range(20_000)]
    inventory = _inventory(cluster)

    inventory.add(names)

    found = cluster.objects[KEY]
    assert "data" not in found
    assert len(found["binaryData"]["objects.gz"]) < LARGEST_TEXT
    assert _remembered(cluster) == set(names)
    inventory.reduce(names[:3])
    assert "binaryData" not in cluster.objects[KEY]
    assert _remembered(cluster) == set(names[:3])


def test_it_is_written_only_when_it_changes(cluster: FakeCluster) -> None:
    """A deploy that changes nothing writes nothing."""
    inventory = _inventory(cluster)
    inventory.read()
    assert (inventory.names, _written(cluster)) == (frozenset(), 0)

    inventory.add([WEB, DB])
    inventory.add([WEB])
    inventory.reduce([DB, WEB])
    again = _inventory(cluster)
    again.read()
    again.add([DB])
    assert _written(cluster) == 1

    again.reduce([DB])
    assert (_written(cluster), _remembered(cluster)) == (2, {DB})


def _packed(text: bytes) -> str:
    return base64.b64encode(text).decode()


WHOLE = gzip.compress(b"v1 Secret shop\n  db\n" * 100, mtime=0)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"data": {"other": "text"}},
        {"data": {"objects": "one two\n  web\n"}},
        {"data": {"objects": "  web\n"}},
        {"data": {"objects": "v1 Secret shop\n\n  db\n"}},
        {"data": {"objects": "v1 Secret shop more\n  db\n"}},
        {"binaryData": {"objects.gz": "%%%"}},
        {"binaryData": {"objects.gz": _packed(b"no gzip")}},
        {"binaryData": {"objects.gz": _packed(WHOLE[:-9])}},
        {"binaryData": {"objects.gz": _packed(WHOLE[:12] + b"\xff\xff" + WHOLE[14:])}},
        {"binaryData": {"objects.gz": _packed(WHOLE[:-5] + b"x" + WHOLE[-4:])}},
        {"binaryData": {"objects.gz": _packed(gzip.compress(b"\xff\xfe", mtime=0))}},
    ],
    ids=str,
)
def test_a_damaged_one_is_not_guessed_at(cluster: FakeCluster, content: dict[str, Any]) -> None:
    """Somebody edited it: the run ends before it prunes anything, and says what to do."""
    cluster.objects[KEY] = {"metadata": {"name": "codexctl-web"}, **content}
    inventory = _inventory(cluster)

    with pytest.raises(ClusterError, match=r"^ConfigMap shop/codexctl-web: is damaged") as caught:
        inventory.read()

    assert "delete it" in str(caught.value)


def test_it_is_forgotten_together_with_the_stack(cluster: FakeCluster) -> None:
    """Nothing stays behind; forgetting twice is fine."""
    inventory = _inventory(cluster)
    inventory.add([WEB])

    inventory.forget()
    inventory.forget()

    assert cluster.objects == {}
    assert inventory.names == frozenset()


@given(STACKS, NAMESPACES)
def test_every_stack_has_a_valid_name_and_label(stack: str, namespace: str) -> None:
    """Whatever a project is called, Kubernetes takes the name of its inventory and the label."""
    inventory = _inventory(FakeCluster(), stack, namespace)

    assert DNS_SUBDOMAIN.fullmatch(inventory.name)
    assert len(inventory.name) <= 253
    assert LABEL_VALUE.fullmatch(inventory.label)
    assert len(inventory.label) <= 63


@given(st.lists(st.tuples(STACKS, NAMESPACES), min_size=2, max_size=8, unique=True))
def test_no_two_stacks_are_mixed_up(stacks: Iterable[tuple[str, str]]) -> None:
    """One stack never prunes the objects of another, or of itself in another namespace."""
    labels = [stack_label(stack, namespace) for stack, namespace in stacks]
    places = [(_inventory(FakeCluster(), s, ns).name, ns) for s, ns in stacks]

    assert len(set(labels)) == len(labels)
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    ("stack", "name"),
    [
        ("shop.prod", r"shop\.prod"),
        ("shop.prod.2", r"shop\.prod\.2"),
        ("Shop", r"shop-[0-9a-f]{8}"),
        ("shop..prod", r"shop\.prod-[0-9a-f]{8}"),
        ("-/-", r"[0-9a-f]{8}"),
        ("x" * 64, r"x{40}-[0-9a-f]{8}"),
    ],
)
def test_a_plain_name_is_kept(stack: str, name: str) -> None:
    """People recognise their stack; only what Kubernetes would refuse is changed."""
    inventory = _inventory(FakeCluster(), stack, "apps")

    assert re.fullmatch(f"codexctl-{name}", inventory.name)
    assert re.fullmatch(rf"{name}\.apps", inventory.label)
