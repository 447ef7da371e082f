"""How people write kinds: ``Deployment``, ``deploy``, ``certificates.cert-manager.io``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codexctl_tasks.world.cluster import Cluster, Resource


def find_kind(text: str, cluster: Cluster) -> Resource | None:
    """
    Return the kind that kubectl would take *text* for; None: the cluster knows none.

    Args:
        text: Kind, plural, singular or short name, in any case; behind a dot the group, before
            that the version if there is one: ``certificates.v1.cert-manager.io``.
        cluster: Asked once more for its kinds when it does not know this one: a definition may
            be new.
    """
    found = _first(text, cluster.resources().values())
    return found or _first(text, cluster.resources(refresh=True).values())


def suggest_kind(text: str, cluster: Cluster) -> str:
    """Return what to do about a kind that the cluster does not know."""
    wanted, _, _ = text.partition(".")
    names = {name: None for each in cluster.resources().values() for name in _names(each)}
    return did_you_mean(wanted, names, "see kubectl api-resources")


def _first(text: str, resources: Iterable[Resource]) -> Resource | None:
    """Return the first that fits: the server lists groups and versions in order of preference."""
    wanted, _, rest = text.lower().partition(".")
    for each in resources:
        if wanted in _names(each) and rest.rstrip(".") in _qualifiers(each):
            return each
    return None


def _names(resource: Resource) -> Mapping[str, None]:
    written = (resource.kind, resource.plural, *resource.aliases)
    return dict.fromkeys(name.lower() for name in written if name)


def _qualifiers(resource: Resource) -> tuple[str, ...]:
    """Return what may stand behind the dot."""
    group, slash, version = resource.api_version.rpartition("/")
    return ("", group, f"{version}.{group}") if slash else ("", version)
