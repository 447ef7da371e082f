"""The repositories of a stack, and the tags in them that it wants (pure)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError, UsageError, did_you_mean
from codexctl_tasks.images.catalogue import catalogue_of
from codexctl_tasks.images.retention import Rules
from codexctl_tasks.references import parse_reference
from codexctl_tasks.stack.items import taking_part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.images.catalogue import Build, External
    from codexctl_tasks.references import Reference
    from codexctl_tasks.requests.images import GcImagesRequest
    from codexctl_tasks.stack.loading import LoadedStack


def repositories_of(
    stacks: Sequence[LoadedStack], request: GcImagesRequest
) -> list[tuple[Reference, Rules]]:
    """
    Return the repositories that a stack pushes to, with what stays of each.

    Args:
        stacks: The stack, loaded for each of its environments.
        request: What the user wants.

    Raises:
        UsageError: It names an entry that there is not.
        CombinedError, ConfigurationError: The stack says something that is no image.
    """
    names: dict[Reference, None] = {}
    entries: dict[str, None] = {}
    for stack in stacks:
        for entry in _entries(stack):
            entries[entry.name] = None
            if not request.only or entry.name in request.only:
                names[replace(entry.target, tag="")] = None
    for name in sorted(request.only - entries.keys()):
        hint = did_you_mean(name, entries, f"known are {', '.join(entries) or 'none'}")
        raise UsageError("--only", f"images has no entry {name!r}", hint)
    desired = _desired_tags(stacks)
    return [
        (
            name,
            Rules(
                newest=request.newest,
                protected=request.protected,
                younger_s=request.younger_s,
                desired=desired[name.repository],
            ),
        )
        for name in names
    ]


def _entries(stack: LoadedStack) -> tuple[External | Build, ...]:
    catalogue = catalogue_of(stack)
    return (*catalogue.externals, *catalogue.builds)


def _desired_tags(stacks: Sequence[LoadedStack]) -> dict[str, dict[str, str]]:
    """Return by repository, whatever its host is called, its tags and which entry names them."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for stack in stacks:
        for reference, who in _named_images(stack):
            whole = f"{who} in {stack.source.env or stack.file}"
            found[reference.repository].setdefault(reference.tag or "latest", whole)
    return found


def _named_images(stack: LoadedStack) -> Iterator[tuple[Reference, str]]:
    for entry in _entries(stack):
        yield entry.target, f"images.{entry.name}"
    for item, path in taking_part(stack):
        if text := stack.image(item, path):
            try:
                yield parse_reference(text), f"service {item.name}"
            except ValueError:
                place, name = stack.find((*path, "image"))
                what = f"{name} is no reference of an image"
                raise ConfigurationError(place, what, "write HOST/NAME:TAG") from None
