"""What counts as unchanged without asking the server, and what never does."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codexctl_tasks.apply.proof import is_unchanged, own_entry
from codexctl_tasks.apply.quantities import is_same_amount

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

US = "codexctl"
CUSTOM = "example.com/v1"


def entry(fields: Object, manager: str = US, version: str = "v1", **more: Any) -> Object:
    """Return an entry of managedFields: ours, unless told otherwise."""
    operation = "Apply" if manager == US else "Update"
    values = {"manager": manager, "operation": operation, "apiVersion": version}
    return {**values, "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def desired(version: str = "v1", **body: Any) -> Object:
    """Return an object to apply; *about* is added to its metadata."""
    metadata = {"name": "a", **body.pop("about", {})}
    return {"apiVersion": version, "kind": "Thing", "metadata": metadata, **body}


def live(*entries: Object, about: Object | None = None, **body: Any) -> Object:
    """Return an object as a LIST shows it."""
    metadata = {"name": "a", "namespace": "n", "uid": "1", "resourceVersion": "7"}
    return {"metadata": {**metadata, **(about or {}), "managedFields": list(entries)}, **body}


def owned(value: Any) -> Object:
    """Return what an entry says of maps and scalars; a list is one value."""
    if isinstance(value, dict):
        return {f"f:{key}": owned(part) for key, part in value.items()}
    return {}


CONTAINER = {
    "name": "web",
    "image": "web:1",
    "args": ["-v"],
    "env": [{"name": "A", "value": "1"}, {"name": "EMPTY", "value": ""}],
    "ports": [{"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}],
    "resources": {"limits": {"cpu": "1000m", "memory": "1024Mi"}},
}
STORED_CONTAINER = {
    "name": "web",
    "image": "web:1",
    "args": ["-v"],
    "env": [{"name": "A", "value": "1"}, {"name": "EMPTY"}],
    "ports": [
        {"containerPort": 53, "protocol": "TCP"},
        {"containerPort": 53, "protocol": "UDP"},
    ],
    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
    "imagePullPolicy": "IfNotPresent",
}
CONTAINER_FIELDS = {
    ".": {},
    "f:name": {},
    "f:image": {},
    "f:args": {},
    "f:env": {
        'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}},
        'k:{"name":"EMPTY"}': {".": {}, "f:name": {}, "f:value": {}},
    },
    "f:ports": {
        'k:{"containerPort":53,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
        'k:{"containerPort":53,"protocol":"UDP"}': {
            ".": {},
            "f:containerPort": {},
            "f:protocol": {},
        },
    },
    "f:resources": {"f:limits": {"f:cpu": {}, "f:memory": {}}},
}
DEPLOYMENT = desired(
    "apps/v1",
    about={"labels": {"app": "web"}},
    spec={
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"spec": {"containers": [CONTAINER], "volumes": []}},
    },
)
DEPLOYMENT_ENTRY = entry(
    {
        "f:metadata": {"f:labels": {"f:app": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {"f:spec": {"f:containers": {'k:{"name":"web"}': CONTAINER_FIELDS}}},
        },
    },
    version="apps/v1",
)
STATUS_ENTRY = entry({"f:status": {"f:replicas": {}}}, "k", "apps/v1", subresource="status")
LIVE_DEPLOYMENT = live(
    DEPLOYMENT_ENTRY,
    STATUS_ENTRY,
    about={"labels": {"app": "web"}, "generation": 1},
    spec={
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"spec": {"containers": [STORED_CONTAINER], "restartPolicy": "Always"}},
        "paused": False,
    },
    status={"replicas": 2},
)


def test_an_untouched_deployment_is_unchanged() -> None:
    """Defaults, normalised amounts, dropped zeros and a status written by others are no change."""
    assert is_unchanged(DEPLOYMENT, LIVE_DEPLOYMENT, US)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list) and value:
        for step in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[step], (*path, step))
    else:
        yield path


def replaced(thing: Object, path: tuple[Any, ...], value: Any) -> Object:
    changed = copy.deepcopy(thing)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


LEAVES = [
    path
    for path in leaves(DEPLOYMENT)
    if path[0] != "kind" and path not in (("metadata", "name"), ("metadata", "namespace"))
]
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(
    VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=4
)


@given(st.sampled_from(LEAVES), JSON)
def test_any_single_other_value_is_sent(path: tuple[Any, ...], value: Any) -> None:
    """Whichever field of a manifest changes, to whatever: the change reaches the cluster."""
    before: Any = DEPLOYMENT
    for step in path:
        before = before[step]
    if json.dumps(before) == json.dumps(value) or is_same_amount(before, value):
        return

    assert not is_unchanged(replaced(DEPLOYMENT, path, value), LIVE_DEPLOYMENT, US)


OWN_LEAVES = [
    path
    for path in leaves(LIVE_DEPLOYMENT)
    if path[0] == "spec" and path[-1] not in ("restartPolicy", "imagePullPolicy", "paused")
]


@given(st.sampled_from(OWN_LEAVES), JSON)
def test_any_single_edit_of_our_fields_is_mended(path: tuple[Any, ...], value: Any) -> None:
    """Whatever somebody makes of one of our fields in the cluster: the apply is sent."""
    before: Any = LIVE_DEPLOYMENT
    for step in path:
        before = before[step]
    if json.dumps(before) == json.dumps(value) or is_same_amount(before, value):
        return

    assert not is_unchanged(DEPLOYMENT, replaced(LIVE_DEPLOYMENT, path, value), US)


@given(st.sampled_from(list(leaves(LIVE_DEPLOYMENT["metadata"]))), JSON)
def test_odd_metadata_never_breaks_a_deploy(path: tuple[Any, ...], junk: Any) -> None:
    """What has not the shape of an object is sent, so that the server says what is wrong."""
    odd = replaced(LIVE_DEPLOYMENT, ("metadata", *path), junk)

    assert is_unchanged(DEPLOYMENT, odd, US) in (True, False)
    assert own_entry(odd, US) in (None, *odd["metadata"]["managedFields"])


@given(JSON, JSON)
def test_junk_never_breaks_a_deploy(one: Any, other: Any) -> None:
    """Neither does anything else in place of an object."""
    assert not is_unchanged(one, other, US)
    assert not is_unchanged(DEPLOYMENT, {"metadata": other}, US)
    assert not is_unchanged(DEPLOYMENT, live(entry(other), **DEPLOYMENT), US)
    assert own_entry({"metadata": {"managedFields": other}}, US) is None


def test_bottomless_objects_never_break_a_deploy() -> None:
    """Ten thousand levels are no stack overflow."""
    deep: Object = {}
    for _ in range(10_000):
        deep = {"a": deep}
    fields: Object = {}
    for _ in range(10_000):
        fields = {"f:a": fields}

    assert not is_unchanged(
        desired(CUSTOM, **deep), live(entry(fields, version=CUSTOM), **deep), US
    )


UNCHANGED = {
    "nothing but a name": (desired(), live()),
    "nothing but a name, others do the rest": (
        desired(),
        live(entry({"f:data": {"f:a": {}}}, "other"), data={"a": "1"}),
    ),
    "another manager owns other fields": (
        desired(data={"a": "1"}),
        live(
            entry({"f:data": {"f:a": {}}}),
            entry({"f:data": {"f:b": {}}}, "other"),
            data={"a": "1", "b": "2"},
        ),
    ),
    "another manager shares the very value": (
        desired(data={"a": "1"}),
        live(
            entry(owned({"data": {"a": 1}})), entry(owned({"data": {"a": 1}}), "o"), data={"a": "1"}
        ),
    ),
    "empty labels beside those of others": (
        desired(about={"labels": {}}),
        live(entry({"f:metadata": {"f:labels": {}}}), about={"labels": {"x": "y"}}),
    ),
    "members of a set among those of others": (
        desired(about={"finalizers": ["b", "a"]}),
        live(
            entry({"f:metadata": {"f:finalizers": {'v:"a"': {}, 'v:"b"': {}}}}),
            about={"finalizers": ["b", "x", "a"]},
        ),
    ),
    "manifests that a program has written": (
        desired(about={"creationTimestamp": None}, data={"a": "1"}, status={"loadBalancer": {}}),
        live(entry(owned({"data": {"a": 1}})), data={"a": "1"}, status={"loadBalancer": {}}),
    ),
    "a derived item of a LimitRange": (
        desired(spec={"limits": [{"type": "Container", "max": {"cpu": "2000m"}}]}),
        live(
            entry({"f:spec": {"f:limits": {}}}),
            spec={
                "limits": [
                    {
                        "type": "Container",
                        "max": {"cpu": "2"},
                        "default": {"cpu": "2"},
                        "defaultRequest": {"cpu": "2"},
                    }
                ]
            },
        ),
    ),
    "references in a list by name": (
        desired(secrets=[{"name": "s"}]),
        live(entry({"f:secrets": {'k:{"name":"s"}': {}}}), secrets=[{"name": "s"}]),
    ),
    "a custom resource": (
        desired(CUSTOM, spec={"size": 3, "note": "", "tags": ["x"], "ports": [{"port": 1}]}),
        live(
            entry(
                {
                    "f:spec": {
                        "f:size": {},
                        "f:note": {},
                        "f:tags": {'v:"x"': {}},
                        "f:ports": {'k:{"port":1,"protocol":"TCP"}': {".": {}, "f:port": {}}},
                    }
                },
                version=CUSTOM,
            ),
            spec={
                "size": 3,
                "note": "",
                "tags": ["x"],
                "ports": [{"port": 1, "protocol": "TCP"}],
            },
        ),
    ),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_nothing_to_do_is_seen(name: str) -> None:
    """Each of these costs no request."""
    want, have = UNCHANGED[name]

    assert is_unchanged(want, have, US)


MAP = owned({"data": {"a": 1}})
ONE = desired(data={"a": "1"})


def one(*others: Object, **more: Any) -> Object:
    """Return a live object with one field of ours."""
    return live(entry(MAP), *others, **{"data": {"a": "1"}, **more})


CHANGED = {
    "we never applied it": (ONE, live(entry(MAP, "other"), data={"a": "1"})),
    "we own more than before": (
        ONE,
        live(entry(owned({"data": {"a": 1, "b": 1}})), data={"a": "1"}),
    ),
    "we own less than before": (desired(data={"a": "1", "b": "2"}), one(data={"a": "1", "b": "2"})),
    "being deleted": (ONE, one(about={"deletionTimestamp": "2030-01-01T00:00:00Z"})),
    "two entries of ours": (ONE, live(entry(MAP), entry(MAP), data={"a": "1"})),
    "our entry of another version": (ONE, live(entry(MAP, version="v2"), data={"a": "1"})),
    "our entry of a subresource": (ONE, live(entry(MAP, subresource="scale"), data={"a": "1"})),
    "an entry of a version long gone": (ONE, one(entry(MAP, "old", "v1beta1"))),
    "an empty entry, which would be dropped": (ONE, one(entry({}, "other"))),
    "an entry that is no map": (ONE, one(entry("x", "other"))),  # type: ignore[arg-type]
    "a first apply records what it finds": (desired(), live(data={"a": "1"})),
    "null": (desired(data={"a": None}), one(data={"a": None})),
    "true is not 1": (desired(data={"a": 1}), one(data={"a": True})),
    "1 is not 1.0": (desired(data={"a": 1}), one(data={"a": 1.0})),
    "stringData": (desired(stringData={"a": "1"}, data={"a": "1"}), one(stringData={"a": "1"})),
    "a map that was empty before": (ONE, live(entry({"f:data": {}}), data={"a": "1"})),
    "a struct that was empty before": (
        desired(spec={"strategy": {"type": "Recreate"}}),
        live(entry({"f:spec": {"f:strategy": {}}}), spec={"strategy": {"type": "Recreate"}}),
    ),
    "a list that was null before and others have filled": (
        desired(spec={"volumes": ["a"]}),
        live(
            entry({"f:spec": {"f:volumes": {}}}),
            entry({"f:spec": {"f:volumes": {'v:"a"': {}}}}, "other"),
            spec={"volumes": ["a"]},
        ),
    ),
    "another order of our items": (
        desired(about={"finalizers": ["a", "b"]}),
        live(
            entry({"f:metadata": {"f:finalizers": {'v:"a"': {}, 'v:"b"': {}}}}),
            about={"finalizers": ["b", "a"]},
        ),
    ),
    "an item twice": (
        desired(env=[{"name": "A"}, {"name": "A"}]),
        live(entry({"f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}}}}), env=[{"name": "A"}]),
    ),
    "an item twice on the server": (
        desired(env=[{"name": "A"}]),
        live(
            entry({"f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}}}}), env=[{"name": "A"}] * 2
        ),
    ),
    "an amount that another manager has in its stored form": (
        desired(spec={"hard": {"cpu": "1000m"}}),
        live(
            entry(owned({"spec": {"hard": {"cpu": 1}}})),
            entry(owned({"spec": {"hard": {"cpu": 1}}}), "other"),
            spec={"hard": {"cpu": "1"}},
        ),
    ),
    "a zero that another manager lists": (
        desired("apps/v1", spec={"paused": False}),
        live(
            entry(owned({"spec": {"paused": 1}}), version="apps/v1"),
            entry(owned({"spec": {"paused": 1}}), "other", "apps/v1"),
            spec={},
        ),
    ),
    "a zero of another type, which is refused": (
        desired("apps/v1", spec={"paused": ""}),
        live(entry(owned({"spec": {"paused": 1}}), version="apps/v1"), spec={}),
    ),
    "a zero of a pointer": (
        desired("v1", automountServiceAccountToken=False),
        live(entry({"f:automountServiceAccountToken": {}})),
    ),
    "an amount in a text of a ConfigMap": (
        desired(data={"sizeLimit": "1000m"}),
        live(entry(owned({"data": {"sizeLimit": 1}})), data={"sizeLimit": "1"}),
    ),
    "an empty value among free keys": (
        desired(spec={"nodeSelector": {"host": "", "a": "b"}}),
        live(entry({"f:spec": {"f:nodeSelector": {}}}), spec={"nodeSelector": {"a": "b"}}),
    ),
    "an amount in a custom resource": (
        desired(CUSTOM, spec={"limits": {"cpu": "1000m"}}),
        live(
            entry(owned({"spec": {"limits": {"cpu": 1}}}), version=CUSTOM),
            spec={"limits": {"cpu": "1"}},
        ),
    ),
    "a zero in a custom resource": (
        desired(CUSTOM, spec={"host": ""}),
        live(entry(owned({"spec": {"host": 1}}), version=CUSTOM), spec={}),
    ),
    "a map in a custom resource that may be merged": (
        desired(CUSTOM, spec={"selector": {"a": "b"}}),
        live(entry({"f:spec": {"f:selector": {}}}, version=CUSTOM), spec={"selector": {"a": "b"}}),
    ),
    "a status of another kind": (
        desired(data={"a": "1"}, status={"loadBalancer": {}}),
        one(status={"replicas": 1}),
    ),
    "a status that the kind does not have": (desired(data={"a": "1"}, status={}), one()),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_or_a_doubt_is_sent(name: str) -> None:
    """In doubt the server decides: that costs a request and never a missed change."""
    want, have = CHANGED[name]

    assert not is_unchanged(want, have, US)


@pytest.mark.parametrize(
    ("want", "stored"),
    [("1000m", "1"), (1, "1"), (0.5, "500m"), ("1024Mi", "1Gi"), ("1000", "1k"), (".5", "500m")],
)
def test_one_amount_in_two_texts_is_unchanged(want: Any, stored: str) -> None:
    """`cpu: 1000m` is not sent again because the server writes it as `1`."""
    entries = entry(owned({"spec": {"hard": {"cpu": 1}}}))

    assert is_unchanged(
        desired(spec={"hard": {"cpu": want}}), live(entries, spec={"hard": {"cpu": stored}}), US
    )


@pytest.mark.parametrize(
    ("want", "stored"),
    [
        ("1Gi", "1073741824"),
        ("1e3", "1k"),
        ("1m", "1M"),
        ("1.000000000000000000000000000000001Gi", "1Gi"),
        (True, "1"),
        ("", "0"),
        ("one", "one "),
    ],
)
def test_amounts_that_are_stored_differently_are_sent(want: Any, stored: str) -> None:
    """Equal numbers of different families of units are different texts on the server."""
    assert not is_same_amount(want, stored)


def test_our_entry_is_found_among_others() -> None:
    """Fields of a controller with our name, or of a subresource, are not taken for our apply."""
    ours = entry(MAP)
    others = [entry(MAP, "other"), entry(MAP, operation="Update"), entry(MAP, subresource="status")]

    assert own_entry(live(*others, ours), US) is ours
    assert own_entry(live(*others), US) is None
    assert own_entry(live(ours, ours), US) is None
