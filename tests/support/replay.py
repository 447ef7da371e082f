"""Feeding a recorded rollout to the judge, with the recording's own clock."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import yaml

from codexctl_tasks.errors import Location
from codexctl_tasks.rollout.judge import Judge, State, Verdict
from codexctl_tasks.rollout.target import Target, is_awaited
from codexctl_tasks.rollout.view import View
from codexctl_tasks.stack.manifests import ObjectName
from codexctl_tasks.world.cluster import Resource
from codexctl_tasks.world.watching import Changed, Listed, Scope

if TYPE_CHECKING:
    from pathlib import Path


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
    return _Player(rows).play()


class _Player:
    """One recording on its way through the judge."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows, head = rows, rows[0]
        self._scopes = _scopes(rows)
        self._view = View(list(self._scopes.values()))
        for scope in self._scopes.values():
            self._view.take(Listed(scope, ()))
        self._result = Replay(expected=head["expect"])
        self._begun = datetime.fromisoformat(head["at"])
        self._ends_s = float(head["for"])
        self._last_apply_s = max(row["t"] for row in rows if row.get("done") == "apply")
        self._existing: set[tuple[str, str]] = set()
        self._waits: dict[str, tuple[Target, Judge]] = {}
        self._applied, self._second = "", 0.0

    def play(self) -> Replay:
        for row in self._rows:
            self._pass_time(row["t"])
            if row.get("do") == "apply":
                self._applied = row["text"]
                documents = _documents(self._applied)
                self._existing |= {(d["kind"], d["metadata"]["name"]) for d in documents}
            elif row.get("done") == "apply":
                self._begin_run(row["out"])
            elif "object" in row:
                scope, deleted = _scope_of(self._scopes, row), row["type"] == "DELETED"
                self._view.take(Changed(scope, deleted, row["object"]))
                self._look(row["t"])
        self._pass_time(self._ends_s)  # nothing more happened until the recording ended
        return self._result

    def _begin_run(self, out: list[dict[str, Any]]) -> None:
        """Forget what was said of these objects: each apply has a wait of its own."""
        recorded = {kind for kind, _ in self._scopes}
        targets = [t for t in _targets(out, self._applied) if t.name.kind in recorded]
        for target in targets:
            self._waits[target.name.short] = (target, Judge(self._ask))
            self._result.failures.pop(target.name.short, None)

    def _pass_time(self, until_s: float) -> None:
        while self._second < until_s:
            self._look(self._second)
            self._second += 1

    def _look(self, now_s: float) -> None:
        server = self._begun + timedelta(seconds=now_s)
        verdicts = [
            verdict
            for target, judge in self._waits.values()
            for verdict in judge.judge([target], self._view, now_s, server)
        ]
        self._result.note(verdicts, now_s)
        if now_s > self._last_apply_s:
            self._result.note_end(now_s)

    def _ask(self, namespace: str, kind: str, name: str) -> str:
        if any(kind == watched for watched, _ in self._scopes):
            found = self._view.find(kind, namespace, name)
            return str(found["metadata"]["uid"]) if found else ""
        return "exists" if (kind, name) in self._existing else ""


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
    bodies = {(d["kind"], d["metadata"]["name"]): d for d in _documents(applied)}
    return [
        Target(
            name=name,
            uid=entry["uid"],
            generation=entry.get("generation") or 0,
            progress_deadline_s=(body.get("spec") or {}).get("progressDeadlineSeconds"),
            location=Location("recorded.yaml"),
        )
        for entry in out
        if (body := bodies.get((entry["kind"], entry["name"]), {}))
        and is_awaited(name := _name(entry, body), body)
    ]


def _name(entry: dict[str, Any], body: dict[str, Any]) -> ObjectName:
    return ObjectName(
        body["apiVersion"], entry["kind"], entry.get("namespace") or "", entry["name"]
    )
