"""
The record of a slot: for whom it is, who works on it and until when; pure.

It is the ``data`` of a ConfigMap. Records of the Go tool have fewer keys and one of another name;
keys that are not ours are kept as they are. What somebody wrote by hand is believed only as far as
it makes sense: a namespace that is deleted later must not be a typing error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.references import check_repository
from codexctl_tasks.world.cluster import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps", namespaced=True)
LABELS = {"app.kubernetes.io/managed-by": "codexctl", "codexctl.io/record": "slot"}
LARGEST_SLOT = 9999
"""A number with more digits is a mistake; without ``maxSlots`` there are no more than these."""
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_LONGEST_SHOWN = 60
_YEARS = range(1970, 3000)
"""Of a time that means anything; with others nobody can calculate."""
_TEXTS = ("env", "project", "branch", "holder", "fingerprint", "removal")
_TIMES = ("lease-until", "heartbeat", "created", "used")
_GO_CREATED = "createdAt"
"""What the Go tool calls ``created``."""


class State(StrEnum):
    """What is known of the environment in a slot."""

    ALLOCATED = "allocated"
    """Nothing was deployed yet."""
    PREPARING = "preparing"
    """Something is being deployed, or was; it is not known to be healthy."""
    READY = "ready"
    UNHEALTHY = "unhealthy"
    RELEASING = "releasing"
    """It is being taken down."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """For whom a slot is."""

    repo: str
    """``owner/name``; GitHub does not tell upper from lower case."""
    issue: int = 0
    """0: none."""
    pr: int = 0
    """0: none. An Issue's slot may be that of its PR as well."""

    def __str__(self) -> str:
        names = (f"Issue {self.issue}" if self.issue else "", f"PR {self.pr}" if self.pr else "")
        named = " and ".join(filter(None, names)) or "nobody"
        return f"{named} of {self.repo}" if self.repo else named


class DamagedRecord(ConfigurationError):  # noqa: N818 - named as what it is about
    """
    A record that makes no sense.

    ``slot`` is its number by the ConfigMap's name, ``data`` what stands in it.
    """

    slot: int = 0
    data: Mapping[str, Any] = {}

    def is_for(self, owner: Owner) -> bool | None:
        """Tell whether it is the slot of an Issue or a PR; None: that cannot be read either."""
        texts = _texts(self.data)
        try:
            return Record(slot=self.slot, **_owner_fields(texts)).is_for(owner)
        except _Nonsense:
            return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is known of one slot."""

    slot: int
    env: str = ""
    namespace: str = ""
    """Of the environment; empty: the Go tool or somebody left it out."""
    project: str = ""
    repo: str = ""
    """Empty: a record of the Go tool, which knows only one repository."""
    issue: int = 0
    pr: int = 0
    branch: str = ""
    state: State = State.ALLOCATED
    holder: str = ""
    """The run that works on it; empty: none."""
    lease_until: datetime | None = None
    """By the API server's clock, as all times here."""
    heartbeat: datetime | None = None
    """When the holder renewed its lease last; None: never, see `is_claim`."""
    created: datetime | None = None
    used: datetime | None = None
    """When a run held it last."""
    fingerprint: str = ""
    """Of what was deployed; empty: nothing was, or not all of it."""
    removal: str = ""
    """What a removal has left to do; it says itself what that means."""
    uid: str = field(default="", compare=False)
    """Of the ConfigMap; empty: it is not there yet."""
    version: str = field(default="", compare=False)
    source: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """The ConfigMap that it was read from, with what others have put into it."""

    @property
    def owner(self) -> Owner:
        """For whom it is."""
        return Owner(repo=self.repo, issue=self.issue, pr=self.pr)

    @property
    def is_claim(self) -> bool:
        """Whether its holder has yet to make sure that the same Issue or PR has no other slot."""
        return self.heartbeat is None and self.state is State.ALLOCATED

    @property
    def is_leaving(self) -> bool:
        """Whether the ConfigMap is being deleted, and something holds it up."""
        return bool(self.source.get("metadata", {}).get("deletionTimestamp"))

    def is_for(self, owner: Owner) -> bool:
        """Tell whether it is the slot of an Issue or a PR."""
        if self.repo and self.repo.lower() != owner.repo.lower():
            return False
        is_issue = owner.issue != 0 and self.issue == owner.issue
        return is_issue or (owner.pr != 0 and self.pr == owner.pr)

    def lease_left_s(self, now: datetime) -> float:
        """Return for how many seconds its lease goes on; 0: it has none any more."""
        if not self.holder or self.lease_until is None:
            return 0.0
        return max((self.lease_until - now).total_seconds(), 0.0)

    def is_held_by_another(self, holder: str, now: datetime) -> bool:
        """Tell whether a run other than *holder* may be working on it."""
        return self.holder != holder and self.lease_left_s(now) > 0

    def held(self, holder: str, now: datetime, lease_s: float) -> Self:
        """Return it with a new lease of a run, and as one whose holder is sure of it."""
        until = now + timedelta(seconds=lease_s)
        return replace(self, holder=holder, lease_until=until, heartbeat=now, used=now)

    def given_back(self, now: datetime) -> Self:
        """Return it without a lease."""
        return replace(self, holder="", lease_until=None, used=now)


def slot_of(name: str, prefix: str) -> int:
    """Return the number in a ConfigMap's name; 0: it is no record."""
    number = name.removeprefix(prefix) if name.startswith(prefix) else ""
    found = _NUMBER.fullmatch(number)
    return int(number) if found else 0


def read_record(config_map: Mapping[str, Any], prefix: str) -> Record:
    """
    Read the record in a ConfigMap whose name is *prefix* and a number.

    Raises:
        DamagedRecord: It makes no sense.
    """
    metadata = config_map["metadata"]
    slot = slot_of(metadata["name"], prefix)
    try:
        return Record(
            **_fields(slot, config_map.get("data") or {}),
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            source=config_map,
        )
    except _Nonsense as found:
        damaged = DamagedRecord(
            f"ConfigMap {metadata.get('namespace', '')}/{metadata['name']}",
            str(found),
            "mend it with kubectl edit, or delete it if nothing is deployed in that slot",
        )
        damaged.slot, damaged.data = slot, config_map.get("data") or {}
        raise damaged from None


def body_of(record: Record, namespace: str, prefix: str) -> dict[str, Any]:
    """
    Return the ConfigMap of a record, to create or to replace it, with all that others put into it.

    *namespace*: Of the records.
    """
    before = record.source.get("metadata", {})
    kept = {k: v for k, v in before.items() if k not in ("managedFields", "generation")}
    foreign = {k: v for k, v in (record.source.get("data") or {}).items() if k not in _OURS}
    return {
        **record.source,
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            **kept,
            "name": f"{prefix}{record.slot}",
            "namespace": namespace,
            "labels": {**(before.get("labels") or {}), **LABELS},
        },
        "data": {**foreign, **_data(record)},
    }


def _data(record: Record) -> dict[str, str]:
    """Return what is known; a key with nothing to say is left out."""
    numbers = {"slot": record.slot, "issue": record.issue, "pr": record.pr}
    texts = {key: getattr(record, key) for key in (*_TEXTS, "namespace", "repo")}
    times = {key: getattr(record, key.replace("-", "_")) for key in _TIMES}
    return {
        **{key: str(number) for key, number in numbers.items() if number},
        **{key: text for key, text in texts.items() if text},
        "state": record.state.value,
        **{key: written_time(time) for key, time in times.items() if time},
    }


_OURS = frozenset({"slot", "issue", "pr", "namespace", "repo", "state", *_TEXTS, *_TIMES})


def written_time(time: datetime) -> str:
    """Return a time as records have it: ``2026-01-02T12:00:00.500Z``."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Nonsense(Exception):  # noqa: N818 - never leaves this module
    """What is wrong with which key."""


def _fields(slot: int, data: Mapping[str, Any]) -> dict[str, Any]:
    texts = _texts(data)
    if _read(texts, "slot", _number, slot, "a number") != slot:
        raise _Nonsense(f"slot is {texts['slot'][:_LONGEST_SHOWN]!r}, but its name says {slot}")
    if slot > LARGEST_SLOT:
        raise _Nonsense(f"there are no more slots than {LARGEST_SLOT}")
    a_time = "a time such as 2026-01-02T12:00:00Z"
    times = {key: _read(texts, key, _time, None, a_time) for key in _TIMES}
    created = _read(texts, _GO_CREATED, _time, None, "a time") if not times["created"] else None
    # Of a record without a state, the Go tool's, nobody knows what is deployed: not nothing.
    states = "one of " + ", ".join(State)
    return {
        "slot": slot,
        **{key: texts.get(key, "") for key in _TEXTS},
        "namespace": _read(
            texts, "namespace", _matching(_NAMESPACE), "", "the name of a namespace"
        ),
        **_owner_fields(texts),
        "state": _read(texts, "state", State, State.PREPARING, states),
        **{key.replace("-", "_"): time for key, time in times.items()},
        **({"created": created} if created else {}),
    }


def _owner_fields(texts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "repo": _read(texts, "repo", check_repository, "", "owner/name"),
        "issue": _read(texts, "issue", _number, 0, "a number"),
        "pr": _read(texts, "pr", _number, 0, "a number"),
    }


def _texts(data: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value).strip() for key, value in data.items()}


def _read(
    texts: Mapping[str, str], key: str, parse: Callable[[str], Any], otherwise: Any, allowed: str
) -> Any:
    text = texts.get(key, "")
    try:
        return parse(text) if text else otherwise
    except (ValueError, OverflowError):
        raise _Nonsense(f"{key} is {text[:_LONGEST_SHOWN]!r}, not {allowed}") from None


def _number(text: str) -> int:
    if text == "0" or _NUMBER.fullmatch(text):
        return int(text)
    raise ValueError(text)


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or time.year not in _YEARS:
        raise ValueError(text)
    return time.astimezone(UTC)


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if pattern.fullmatch(text):
            return text
        raise ValueError(text)

    return parse
