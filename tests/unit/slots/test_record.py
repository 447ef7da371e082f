"""Records of slots: what is read, what is refused, what is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codexctl_tasks.slots.record import (
    DamagedRecord,
    Owner,
    Record,
    State,
    body_of,
    read_record,
    slot_of,
)

NOW = datetime(2026, 1, 2, 12, 0, 0, 500_000, UTC)
WHOLE = Record(
    slot=3,
    env="ai",
    namespace="shop-dev-3",
    project="shop",
    repo="acme/shop",
    issue=7,
    pr=8,
    branch="codex/issue-7",
    state=State.READY,
    holder="https://github.com/acme/shop/actions/runs/1",
    lease_until=NOW + timedelta(minutes=30),
    heartbeat=NOW,
    created=NOW - timedelta(hours=1),
    used=NOW,
    fingerprint="sha256:1",
)


def config_map(name: str = "shop-slot-3", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "shop-system", "uid": "uid-1", "resourceVersion": "5"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def read(**data: str) -> Record:
    return read_record(
        config_map(**{key.replace("_", "-"): text for key, text in data.items()}), "shop-slot-"
    )


def test_what_is_written_is_read_again() -> None:
    """A record says the same to the next run."""
    body = body_of(WHOLE, "shop-system", "shop-slot-")
    body["metadata"] |= {"uid": "uid-1", "resourceVersion": "5"}
    assert read_record(body, "shop-slot-") == WHOLE
    assert body["metadata"]["name"] == "shop-slot-3"
    assert body["data"]["lease-until"] == "2026-01-02T12:30:00.500Z"


def test_record_of_the_go_tool_is_completed() -> None:
    """A slot that the Go tool has allocated is found, and stays readable for that tool."""
    old = read(
        slot="3",
        env="ai",
        namespace="shop-dev-3",
        owner="4711",
        issue="7",
        pr="0",
        createdAt="2026-01-01T00:00:00Z",
    )
    assert (old.issue, old.pr, old.repo) == (7, 0, "")
    assert old.created == datetime(2026, 1, 1, tzinfo=UTC)
    assert old.state is State.PREPARING  # nobody knows what is deployed: it is not nothing
    assert old.is_for(Owner(repo="acme/shop", issue=7))
    data = body_of(replace(old, repo="acme/shop"), "shop-system", "shop-slot-")["data"]
    assert data["owner"] == "4711"
    assert data["createdAt"] == "2026-01-01T00:00:00Z"
    assert data["repo"] == "acme/shop"


def test_what_others_have_written_stays() -> None:
    """Keys, labels and annotations of other people survive when codexctl writes a record."""
    found = config_map(slot="3", note="do not touch", holder="me@laptop")
    found["metadata"] |= {"labels": {"team": "a"}, "annotations": {"x": "y"}, "managedFields": []}
    record = read_record(found, "shop-slot-").given_back(NOW)
    body = body_of(record, "shop-system", "shop-slot-")
    assert body["data"]["note"] == "do not touch"
    assert "holder" not in body["data"]
    assert body["metadata"]["labels"]["team"] == "a"
    assert body["metadata"]["annotations"] == {"x": "y"}
    assert body["metadata"]["resourceVersion"] == "5"
    assert "managedFields" not in body["metadata"]


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"slot": "4"}, "slot is '4', but its name says 3"),
        ({"slot": "three"}, "slot is 'three'"),
        ({"issue": "-1"}, "issue is '-1', not a number"),
        ({"pr": "#12"}, "pr is '#12'"),
        ({"state": "fine"}, "state is 'fine', not one of allocated, preparing"),
        ({"namespace": "kube-system; rm"}, "namespace is 'kube-system; rm'"),
        ({"repo": "acme"}, "repo is 'acme', not owner/name"),
        ({"repo": "../.."}, "repo is '../..', not owner/name"),
        ({"used": "0001-01-01T00:00:00+14:00"}, "used is '0001-01-01T00:00:00+14:00', not a time"),
        ({"used": "9999-12-31T23:59:59Z"}, "used is '9999-12-31T23:59:59Z', not a time"),
        ({"lease_until": "tomorrow"}, "lease-until is 'tomorrow', not a time"),
        ({"heartbeat": "2026-01-02T12:00:00"}, "heartbeat is '2026-01-02T12:00:00'"),
        ({"createdAt": "yesterday"}, "createdAt is 'yesterday'"),
    ],
)
def test_nonsense_is_named(data: dict[str, str], key: str) -> None:
    """Who has edited a record wrongly is told which ConfigMap and which key, in one line."""
    with pytest.raises(DamagedRecord) as refused:
        read(**data)
    text = str(refused.value)
    assert text.startswith(f"ConfigMap shop-system/shop-slot-3: {key}")
    assert "\n" not in text
    assert refused.value.slot == 3


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        ("shop-slot-12", 12),
        ("shop-slot-0", 0),
        ("shop-slot-012", 0),
        ("shop-slot-x", 0),
        ("shop-slot-1-data", 0),
        ("kube-root-ca.crt", 0),
    ],
)
def test_only_names_with_a_number_are_records(name: str, slot: int) -> None:
    """Other ConfigMaps in the same namespace are left alone."""
    assert slot_of(name, "shop-slot-") == slot


def test_owner_is_an_issue_or_its_pr() -> None:
    """A slot that an Issue and its PR share is found by either, in its own repository only."""
    assert WHOLE.is_for(Owner(repo="Acme/Shop", issue=7))
    assert WHOLE.is_for(Owner(repo="acme/shop", pr=8))
    assert not WHOLE.is_for(Owner(repo="acme/shop", issue=8))
    assert not WHOLE.is_for(Owner(repo="acme/other", issue=7))
    assert not Record(slot=1).is_for(Owner(repo="acme/shop"))
    assert str(WHOLE.owner) == "Issue 7 and PR 8 of acme/shop"


def test_lease_is_of_one_run_and_ends() -> None:
    """A slot is in use until its lease ends, for every run but the holder's own."""
    other = "https://github.com/acme/shop/actions/runs/2"
    assert WHOLE.is_held_by_another(other, NOW)
    assert not WHOLE.is_held_by_another(WHOLE.holder, NOW)
    assert not WHOLE.is_held_by_another(other, NOW + timedelta(minutes=30))
    assert WHOLE.lease_left_s(NOW) == 1800
    assert WHOLE.given_back(NOW).lease_left_s(NOW) == 0
    assert WHOLE.given_back(NOW).held(other, NOW, 60).lease_left_s(NOW) == 60
