"""Feeding a recorded rollout to the judge, with the recording's own clock."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from codexctl_tasks.errors import Location
from codexctl_tasks.rollout.judge import Judge, State, Verdict
from codexctl_tasks.rollout.target import Target, is_workload
from codexctl_tasks.rollout.view import View
from codexctl_tasks.stack.manifests import ObjectName
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.watching import Changed, Listed, Scope

if TYPE_CHECKING:
    from pathlib import Path

_VERSIONS = {"Job": "batch/v1", "Pod": "v1"}


@dataclass
class Replay:
    """What the judge said while a recording ran."""

    expected: str
    failures: dict[str, tuple[float, Verdict]] = field(default_factory=dict)
    """The first FAILED verdict by object, with its second."""
    last: dict[str, Verdict] = field(default_factory=dict)
    ended_ready_at_s: float | None = None
    """When a wait would have ended with exit code 0: all ready, and nothing more is applied."""

    def note(self, verdicts: list[Verdict], now_s: float) -> None:
        """Remember verdicts, and the first failure of each object."""
        for verdict in verdicts:
            name = verdict.target.name.short
            self.last[name] = verdict
            if verdict.state is State.FAILED:
                self.failures.setdefault(name, (now_s, verdict))

    def note_end(self, now_s: float) -> None:
        """Remember the first moment at which everything was ready."""
        ready = self.last and all(v.state is State.READY for v in self.last.values())
        if ready and self.ended_ready_at_s is None:
            self.ended_ready_at_s = now_s


def replay(recording: Path) -> Replay:
    """Run a recording: look at every watch event, and once a second in between."""
    with gzip.open(recording) as lines:
        rows = [json.loads(line) for line in lines]
    scopes = _scopes(rows)
    view = View(list(scopes.values()))
    for scope in scopes.values():
        view.take(Listed(scope, ()))
    result = Replay(expected=rows[0]["expect"])
    existing: set[tuple[str, str]] = set()
    judge = Judge(lambda _, kind, name: (kind, name) in existing)
    targets: dict[str, Target] = {}
    second, applied = 0.0, ""
    last_apply_s = max(row["t"] for row in rows if row.get("done") == "apply")

    def look(now_s: float) -> None:
        result.note(judge.judge(list(targets.values()), view, now_s), now_s)
        if now_s > last_apply_s:
            result.note_end(now_s)

    for row in rows:
        while second < row["t"]:
            look(second)
            second += 1
        if row.get("do") == "apply":
            applied = row["text"]
            existing |= _configuration(applied)
        elif row.get("done") == "apply":
            targets |= {target.name.short: target for target in _targets(row["out"], applied)}
        elif "object" in row:
            view.take(Changed(_scope_of(scopes, row), row["type"] == "DELETED", row["object"]))
            look(row["t"])
    return result


def _configuration(text: str) -> set[tuple[str, str]]:
    kinds = ("Secret", "ConfigMap")
    return {(d["kind"], d["metadata"]["name"]) for d in _documents(text) if d["kind"] in kinds}


def _scopes(rows: list[dict[str, Any]]) -> dict[tuple[str, str], Scope]:
    found: dict[tuple[str, str], Scope] = {}
    for row in rows:
        if "object" in row:
            kind, namespace = row["object"]["kind"], row["object"]["metadata"].get("namespace", "")
            resource = Resource("recorded/v1", kind, kind, bool(namespace))
            found.setdefault((kind, namespace), Scope(resource, namespace))
    return found


def _scope_of(scopes: dict[tuple[str, str], Scope], row: dict[str, Any]) -> Scope:
    return scopes[row["object"]["kind"], row["object"]["metadata"].get("namespace", "")]


def _documents(text: str) -> list[dict[str, Any]]:
    return [d for d in yaml.safe_load_all(text) if isinstance(d, dict)]


def _targets(out: list[dict[str, Any]], applied: str) -> list[Target]:
    specs = {(d["kind"], d["metadata"]["name"]): d.get("spec") or {} for d in _documents(applied)}
    return [
        Target(
            name=name,
            uid=entry["uid"],
            generation=entry.get("generation") or 0,
            progress_deadline_s=specs.get((name.kind, name.name), {}).get(
                "progressDeadlineSeconds"
            ),
            location=Location("recorded.yaml"),
        )
        for entry in out
        if is_workload(
            name := ObjectName(
                _VERSIONS.get(entry["kind"], "apps/v1"),
                entry["kind"],
                entry.get("namespace", ""),
                entry["name"],
            )
        )
    ]
