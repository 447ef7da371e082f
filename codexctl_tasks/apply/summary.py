"""What a run did to the objects, in lines for people and as data for programs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from codexctl_tasks.apply.sending import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from codexctl_tasks.apply.applying import Account
    from codexctl_tasks.apply.plan import Leaving
    from codexctl_tasks.apply.sending import Applied
    from codexctl_tasks.errors import CodexctlError
    from codexctl_tasks.stack.manifests import Manifest, ObjectName

NAMES_SHOWN = 10
"""Of objects that were not applied; the rest is a number."""


def applied_lines(applied: Applied) -> Iterator[str]:
    """Yield what is worth telling of an object that was applied; nothing if it is unchanged."""
    if applied.change is not Change.UNCHANGED:
        where = applied.placed.manifest.location
        yield f"{applied.change.value:<9} {applied.name}  {where}"
    for conflict in applied.taken:
        yield f"took over {conflict}: {applied.name}"
    if applied.step.former_stack:
        yield f"took over {applied.name} from stack {applied.step.former_stack}"


def warnings_of(applied: Applied) -> Iterator[str]:
    """Yield what the server had to say, with file and line."""
    for warning in applied.warnings:
        yield f"{applied.placed.manifest.location}: {applied.name}: {warning}"


def counts_line(applied: Sequence[Applied]) -> str:
    """Return one line such as ``1 created, 2 changed, 37 unchanged``."""
    counts = Counter(each.change for each in applied)
    parts = [f"{counts[change]} {change.value}" for change in Change if counts[change]]
    return ", ".join(parts) or "no objects"


def unfinished_lines(account: Account) -> Iterator[str]:
    """Yield what an interrupted run has not done, or may have done."""
    done = len(account.applied)
    if account.in_flight or account.not_sent:
        yield f"{done} of {account.total} objects were applied before the end"
    for names, text in (
        (account.in_flight, "was sent, and may have been applied or not"),
        (account.not_sent, "was not applied"),
    ):
        yield from (f"{name} {text}" for name in names[:NAMES_SHOWN])
        if len(names) > NAMES_SHOWN:
            yield f"... and {len(names) - NAMES_SHOWN} more"


def kept_line(leaving: Leaving) -> str:
    """Return why an object that left the stack stays."""
    return f"left the stack, but stays: {leaving.name}: {leaving.kept}"


def objects_as_json(account: Account) -> list[dict[str, Any]]:
    """Return every object of the run with what became of it, in the order of the manifests."""
    applied = {each.name: each for each in account.applied}
    in_flight, not_sent = set(account.in_flight), set(account.not_sent)
    objects = []
    for step in account.steps:
        found = applied.get(step.name)
        outcome = found.change.value if found else "refused"
        if step.name in in_flight:
            outcome = "unknown"
        elif step.name in not_sent:
            outcome = "not applied"
        objects.append(
            {
                **identity_as_json(step.name),
                "outcome": outcome,
                "manifest": place_as_json(step.placed.manifest),
                "takenOver": [
                    {"field": c.field, "manager": c.manager} for c in (found.taken if found else ())
                ],
                "warnings": list(found.warnings) if found else [],
            }
        )
    return objects


def leaving_as_json(leaving: Iterable[Leaving], pruned: Iterable[ObjectName]) -> list[Any]:
    """Return the objects that left the stack, and whether they were deleted."""
    gone = set(pruned)
    return [
        {**identity_as_json(each.name), "pruned": each.name in gone, "kept": each.kept}
        for each in leaving
    ]


def problems_as_json(problems: Iterable[CodexctlError]) -> list[dict[str, Any]]:
    """Return errors as data."""
    return [{"where": p.where, "what": p.what, "fix": p.fix} for p in problems]


def identity_as_json(name: ObjectName) -> dict[str, Any]:
    """Return which object is meant; a cluster-wide one has an empty namespace."""
    return {
        "apiVersion": name.api_version,
        "kind": name.kind,
        "namespace": name.namespace,
        "name": name.name,
    }


def place_as_json(manifest: Manifest) -> dict[str, Any]:
    """Return where a manifest was written; ``line`` is null when only the file is known."""
    return {"file": manifest.location.file, "line": manifest.location.line}
