"""Which items of a stack take part in a run (pure): what the filters and `when` leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.errors import CodexctlError, CombinedError, did_you_mean
from codexctl_tasks.stack.model import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from codexctl_tasks.requests.basis import Filters
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.model import Item, Stack
    from codexctl_tasks.stack.validation import KeyPath


def taking_part(loaded: LoadedStack) -> list[tuple[Item, KeyPath]]:
    """
    Return the items that take part, infrastructure first, each with its path in the file.

    Raises:
        CombinedError: What is wrong with their `when`.
    """
    found: list[tuple[Item, KeyPath]] = []
    problems: list[CodexctlError] = []
    for item, path in _chosen(loaded.stack, loaded.source.filters):
        try:
            if loaded.wants(item, path):
                found.append((item, path))
        except CodexctlError as error:
            problems.extend(error.problems)
    if problems:
        raise CombinedError(problems)
    return found


def title_of(item: Item) -> str:
    """Return what people call an item: ``service web``."""
    kind = "service" if isinstance(item, Service) else "infrastructure"
    return f"{kind} {item.name}"


def unmatched_filters(filters: Filters, stack: Stack, file: str) -> Iterator[str]:
    """Warn of names that match no item; no error, so that workflows can serve many stacks."""
    for flag, names, items in (
        ("--only-services", filters.only_services, stack.services),
        ("--skip-services", filters.skip_services, stack.services),
        ("--only-infra", filters.only_infra, stack.infrastructure),
        ("--skip-infra", filters.skip_infra, stack.infrastructure),
    ):
        known = sorted(item.name.strip().lower() for item in items)
        for name in sorted(names - set(known)):
            hint = did_you_mean(name, known, f"known are {', '.join(known)}")
            yield f"{flag}: {file} has no item {name!r}: {hint}"


def _chosen(stack: Stack, filters: Filters) -> Iterator[tuple[Item, KeyPath]]:
    """Yield what the filters let take part."""
    groups: tuple[tuple[str, Sequence[Item], Callable[[str], bool]], ...] = (
        ("infrastructure", stack.infrastructure, _chooser(filters.only_infra, filters.skip_infra)),
        ("services", stack.services, _chooser(filters.only_services, filters.skip_services)),
    )
    for key, items, is_chosen in groups:
        for index, item in enumerate(items):
            if is_chosen(item.name.strip().lower()):
                yield item, (key, index)


def _chooser(only: frozenset[str], skip: frozenset[str]) -> Callable[[str], bool]:
    return lambda name: name not in skip and (not only or name in only)
