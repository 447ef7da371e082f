"""
Remove images from the stack's own repositories that nobody needs any more.

Nothing is deleted unless every cluster can be read: what runs in one that does not answer would be
taken for unused.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.errors import (
    DONE,
    ClusterError,
    CodexctlError,
    CombinedError,
    ConfigurationError,
    UsageError,
    did_you_mean,
)
from codexctl_tasks.flows.registries import registry_of
from codexctl_tasks.images.catalogue import catalogue_of
from codexctl_tasks.images.collecting import Repository
from codexctl_tasks.images.retention import Rules
from codexctl_tasks.images.usage import Usage, read_usage
from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.reports import retention as report
from codexctl_tasks.reports.retention import Account, Outcome
from codexctl_tasks.requests import ClusterSettings
from codexctl_tasks.stack.items import taking_part
from codexctl_tasks.stack.loading import load_environments
from codexctl_tasks.stack.rendering import defaults_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from codexctl_tasks.images.catalogue import Build, External
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Registry
    from codexctl_tasks.requests import GcImagesRequest
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside

_NO_DELETION = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)


def gc_images(request: GcImagesRequest, outside: Outside, registry: Registry | None = None) -> int:
    """
    Tell which images nobody needs, and delete them if that is wanted.

    *registry*: None: those of the world.
    """
    outside.console.hide(request.source.secrets)
    stacks = load_environments(request.source)
    outside.console.hide(secret for stack in stacks for secret in stack.secrets)
    repositories = _repositories(stacks, request)
    settings = _cluster_settings(stacks, request) if repositories else []
    clusters = _connected(settings, outside)
    registries = registry or registry_of(stacks, outside)
    collection = _Collection(request, outside, repositories, clusters, registries)
    collection.survey()
    if request.deletes:
        collection.delete()
    return collection.report()


class _Collection:
    """One run over all repositories."""

    def __init__(
        self,
        request: GcImagesRequest,
        outside: Outside,
        repositories: Sequence[tuple[Reference, Rules]],
        clusters: Sequence[Cluster],
        registry: Registry,
    ) -> None:
        self._request, self._console, self._clock = request, outside.console, outside.clock
        self._clusters = clusters
        self._names = [reference for reference, _ in repositories]
        self._repositories = [
            (Repository(registry, reference, rules), Account(reference=reference))
            for reference, rules in repositories
        ]
        self._objects: dict[str, int] = {}
        self._problems: list[CodexctlError] = []

    def survey(self) -> None:
        """Read everything, and tell what stays and what goes."""
        usage = self._look("nothing is deleted")
        for name, count in self._objects.items():
            self._console.step("cluster", f"{name}: looked through, objects: {count}")
        for repository, told in self._repositories:
            try:
                told.verdicts = repository.judge(usage, self._request.source.now)
            except RegistryError as error:
                self._problems.append(error)
            else:
                self._console.lines(report.verdict_lines(told))

    def delete(self) -> None:
        """Delete what goes; a registry that refuses ends the work on a repository."""
        refusing: set[str] = set()
        for repository, told in self._repositories:
            if told.reference.host in refusing or all(v.stays for v in told.verdicts):
                continue
            try:
                self._collect(repository, told)
            except RegistryError as error:
                self._problems.append(_explained(error, told.reference))
                if error.status in _NO_DELETION:
                    refusing.add(told.reference.host)
            except ClusterError as error:
                self._problems.append(error)
                return

    def report(self) -> int:
        """Print the sums, and everything as JSON if asked for; return the exit code."""
        deletes = self._request.deletes
        accounts = [told for _, told in self._repositories]
        self._console.lines([report.closing_line(accounts, deletes=deletes)])
        exit_code = CombinedError(self._problems).exit_code if self._problems else DONE
        if self._problems:
            self._console.error(CombinedError(self._problems))
        if self._request.output == "json":
            data = report.as_json(
                accounts, self._objects, self._problems, exit_code=exit_code, deletes=deletes
            )
            masked = self._console.masked_data(data)
            print(json.dumps(masked, indent=2, ensure_ascii=False))  # noqa: T201 - the result
        return exit_code

    def _collect(self, repository: Repository, told: Account) -> None:
        for each in repository.collect(
            told.verdicts,
            lambda: self._look("nothing more is deleted"),
            clock=self._clock,
            now=self._request.source.now,
        ):
            image = each.verdict.image
            told.outcomes[image.digest] = Outcome.DELETED if each.was_there else Outcome.GONE
            what = told.outcomes[image.digest].value
            self._console.step(
                "images", f"{what}: {told.reference.name}: {', '.join(image.tags)} ({image.digest})"
            )

    def _look(self, consequence: str) -> Usage:
        """Return what all clusters use at this moment."""
        usage = Usage()
        for cluster in self._clusters:
            try:
                found = read_usage(cluster, self._names, self._request.ignored_kinds)
            except ClusterError as error:
                what = f"{error.what}, therefore {consequence}"
                raise ClusterError(error.where, what, error.fix, status=error.status) from error
            self._objects[cluster.context or cluster.address] = found.objects
            usage.add(found)
        return usage


def _repositories(
    stacks: Sequence[LoadedStack], request: GcImagesRequest
) -> list[tuple[Reference, Rules]]:
    """Return the repositories that the stack pushes to, with what stays of each."""
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


def _cluster_settings(
    stacks: Sequence[LoadedStack], request: GcImagesRequest
) -> list[ClusterSettings]:
    """Return how to reach every cluster that counts."""
    if request.contexts:
        return [
            ClusterSettings(kubeconfig=request.kubeconfig, context=context)
            for context in request.contexts
        ]
    found = {ClusterSettings(kubeconfig=request.kubeconfig, context=""): None}
    for stack in stacks:
        defaults = defaults_of(stack)
        kubeconfig = defaults.kubeconfig or request.kubeconfig
        found[ClusterSettings(kubeconfig=kubeconfig, context=defaults.context)] = None
    return list(found)


def _connected(settings: Sequence[ClusterSettings], outside: Outside) -> list[Cluster]:
    """Return every cluster once, however many contexts lead to it with the same rights."""
    found: dict[tuple[str, str], Cluster] = {}
    for each in settings:
        cluster = outside.connect(each, outside.clock, outside.console.retrying)
        found.setdefault((cluster.address, cluster.context), cluster)
    return list(found.values())


def _explained(error: RegistryError, reference: Reference) -> RegistryError:
    """Say what a refused deletion means."""
    if error.status in _NO_DELETION:
        what, fix = (
            "this registry does not allow to delete",
            "set storage.delete.enabled: true in its configuration and start it anew",
        )
        return RegistryError(reference.host, what, fix, status=error.status)
    if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        what, fix = "this account may not delete", "log in with an account that may"
        return RegistryError(reference.name, what, fix, status=error.status)
    return error
