"""Subjects for the checks: a folder, a cluster that is a dictionary, a stack in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.checks.subject import Subject
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.manifests import read_manifests
from codexctl_tasks.stack.model import Stack
from tests.support.fakes import FakeClock, FakeCluster

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from codexctl_tasks.checks.finding import Finding


def subject(
    folder: Path,
    *,
    stack: dict[str, Any] | None = None,
    manifests: str = "",
    cluster: FakeCluster | None = None,
    left_s: float = 30.0,
    **more: Any,
) -> Subject:
    """
    Return what the checks look at.

    Args:
        folder: That of ``services.yaml``.
        stack: What ``services.yaml`` holds beside the project; None: there is none.
        manifests: YAML documents, in a file ``app.yaml``.
        cluster: An empty one if it is not given.
        left_s: Until the deadline, by a clock that stands still.
        more: Fields of `Subject`.
    """
    clock, found = FakeClock(), cluster or FakeCluster()
    documents = read_documents(manifests, "app.yaml")
    settings: dict[str, Any] = {
        "folder": folder,
        "variables": {},
        "connect": lambda: found,
        "clock": clock,
        "deadline_s": clock.now() + left_s,
        "namespace": "shop",
        "stack": None if stack is None else Stack.model_validate({"project": "shop", **stack}),
        "manifests": tuple(read_manifests(documents, namespace="shop")),
        **more,
    }
    return Subject(**settings)


def lines(findings: Iterable[Finding]) -> list[str]:
    """Return findings as a person reads them, each with its state."""
    return [f"{finding.state.value} {finding}" for finding in findings]
