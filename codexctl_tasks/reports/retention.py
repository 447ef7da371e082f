"""What a removal of images tells (pure): in lines for people, as data for programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from codexctl_tasks.images.retention import freed_bytes
from codexctl_tasks.reports.images import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from codexctl_tasks.errors import CodexctlError
    from codexctl_tasks.images.retention import Verdict
    from codexctl_tasks.references import Reference

SCHEMA_VERSION = 1
"""Of the JSON document; see docs/output.md."""
_WIDEST_TAG = 50


class Outcome(Enum):
    """What became of an image."""

    KEPT = "kept"
    WOULD_GO = "would be deleted"
    DELETED = "deleted"
    GONE = "gone already"
    LEFT = "left"
    """It was to go, and did not: somebody began to use it, or something stopped the run."""


@dataclass(kw_only=True, slots=True)
class Account:
    """What is known of one repository."""

    reference: Reference
    verdicts: Sequence[Verdict] = ()
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """By digest, of what has been dealt with."""

    def outcome(self, verdict: Verdict, *, deletes: bool) -> Outcome:
        """Return what became of an image; *deletes*: the run was to delete."""
        if verdict.stays:
            return Outcome.KEPT
        otherwise = Outcome.LEFT if deletes else Outcome.WOULD_GO
        return self.outcomes.get(verdict.image.digest, otherwise)


def verdict_lines(account: Account) -> Iterator[tuple[str, str]]:
    """Yield the reason of every tag of a repository, what goes last."""
    if not account.verdicts:
        yield "", f"{account.reference.name}: no images"
        return
    yield "", f"{account.reference.name}: {_counted(account.verdicts)}"
    rows = [row for verdict in account.verdicts for row in _rows(verdict)]
    width = min(max(len(tag) for _, tag, _ in rows), _WIDEST_TAG)
    for goes, tag, why in sorted(rows):
        yield "-" if goes else "", f"  {'delete' if goes else 'keep':<6}  {tag:<{width}}  {why}"


def closing_line(accounts: Sequence[Account], *, deletes: bool) -> tuple[str, str]:
    """Return the sum of all."""
    done = _of_outcome(accounts, deletes, Outcome.DELETED if deletes else Outcome.WOULD_GO)
    staying = _of_outcome(accounts, deletes, Outcome.KEPT)
    left = _of_outcome(accounts, deletes, Outcome.LEFT)
    verb = "deleted" if deletes else "would be deleted"
    parts = [f"{_counted(done)} {verb}" if done else f"nothing {verb}"]
    if done:
        parts[0] += f" (up to {size_text(_bytes(accounts, done))})"
    parts.append(f"{_counted(staying)} kept" if staying else "nothing kept")
    if left:
        parts.append(f"{_counted(left)} left after all")
    hint = "; --delete does it" if done and not deletes else ""
    if done and deletes:
        hint = "; the registry's garbage collection frees the space"
    return (
        "ready" if deletes else "",
        f"{'DONE' if deletes else 'DRY RUN'}  {', '.join(parts)}{hint}",
    )


def as_json(
    accounts: Sequence[Account],
    clusters: Mapping[str, int],
    problems: Sequence[CodexctlError],
    *,
    exit_code: int,
    deletes: bool,
) -> dict[str, Any]:
    """
    Return everything as JSON-like data.

    Args:
        accounts: Of all repositories.
        clusters: How many objects were looked through, by cluster.
        problems: What could not be read or deleted.
        exit_code: Of the run.
        deletes: Whether it was to delete.
    """
    done = _of_outcome(accounts, deletes, Outcome.DELETED if deletes else Outcome.WOULD_GO)
    return {
        "version": SCHEMA_VERSION,
        "exitCode": exit_code,
        "dryRun": not deletes,
        "clusters": [{"name": name, "objects": count} for name, count in clusters.items()],
        "repositories": [
            {
                "name": account.reference.name,
                "images": [_image(each, account, deletes) for each in account.verdicts],
            }
            for account in accounts
        ],
        "deletedImages": len(done),
        "deletedTags": sum(len(verdict.image.tags) for verdict in done),
        "freedBytes": _bytes(accounts, done),
        "problems": [{"where": e.where, "what": e.what, "fix": e.fix} for e in problems],
    }


def _image(verdict: Verdict, account: Account, deletes: bool) -> dict[str, Any]:
    image = verdict.image
    return {
        "digest": image.digest,
        "outcome": account.outcome(verdict, deletes=deletes).value,
        "why": verdict.why,
        "tags": [{"name": tag, "why": verdict.why_tag(tag)} for tag in image.tags],
        "createdAt": image.created.isoformat() if image.created else None,
        "bytes": sum(image.blobs.values()),
    }


def _rows(verdict: Verdict) -> Iterator[tuple[bool, str, str]]:
    if not verdict.image.tags:
        yield not verdict.stays, f"@{verdict.image.digest[:19]}", verdict.why
    for tag in verdict.image.tags:
        yield not verdict.stays, tag, verdict.why_tag(tag)


def _of_outcome(accounts: Sequence[Account], deletes: bool, outcome: Outcome) -> list[Verdict]:
    return [
        verdict
        for account in accounts
        for verdict in account.verdicts
        if account.outcome(verdict, deletes=deletes) is outcome
    ]


def _bytes(accounts: Sequence[Account], done: Sequence[Verdict]) -> int:
    """Return the size of what only belonged to what went."""
    gone = {id(verdict) for verdict in done}
    everything = (verdict for account in accounts for verdict in account.verdicts)
    staying = [verdict for verdict in everything if id(verdict) not in gone]
    return freed_bytes(done, staying)


def _counted(verdicts: Sequence[Verdict]) -> str:
    images, tags = len(verdicts), sum(len(verdict.image.tags) for verdict in verdicts)
    return f"{images} image{'s' * (images != 1)} with {tags} tag{'s' * (tags != 1)}"
