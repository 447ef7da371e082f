"""
Remove images from the stack's own repositories that nobody needs any more.

Nothing is deleted unless every cluster can be read: what runs in one that does not answer would be
taken for unused.
"""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

from codexctl_tasks.errors import (
    DONE,
    ClusterError,
    CodexctlError,
    CombinedError,
)
from codexctl_tasks.flows.registries import registry_of
from codexctl_tasks.images.collecting import Repository
from codexctl_tasks.images.repositories import repositories_of
from codexctl_tasks.images.usage import Usage, read_usage
from codexctl_tasks.registry.interface import RegistryError
from codexctl_tasks.reports import retention as report
from codexctl_tasks.reports.retention import Account, Outcome
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.stack.loading import load_environments
from codexctl_tasks.stack.rendering import defaults_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.images.retention import Rules
    from codexctl_tasks.references import Reference
    from codexctl_tasks.registry.interface import Registry
    from codexctl_tasks.requests.images import GcImagesRequest
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
    repositories = repositories_of(stacks, request)
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
            self._console.result_as_json(data)
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


def _cluster_settings(
    stacks: Sequence[LoadedStack], request: GcImagesRequest
) -> list[ClusterSettings]:
    """Return how to reach every cluster that counts."""
    if request.contexts:
        return [replace(request.cluster, context=context) for context in request.contexts]
    found = {request.cluster: None}
    for stack in stacks:
        defaults = defaults_of(stack)
        kubeconfig = defaults.kubeconfig or request.cluster.kubeconfig
        context = defaults.context or ("" if defaults.kubeconfig else request.cluster.context)
        found[ClusterSettings(kubeconfig=kubeconfig, context=context)] = None
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
