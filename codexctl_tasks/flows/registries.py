"""How flows get hold of registries: with the logins and proxies of a stack's variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.registry.client import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from codexctl_tasks.registry.client import RegistryClient
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.outside import Outside


def registry_of(stacks: Sequence[LoadedStack], outside: Outside) -> RegistryClient:
    """
    Return the registries; nothing is sent before the first call.

    *stacks*: One stack, in some of its environments; the variables of the first one count.
    """
    return connect(
        variables_of(stacks[0]) if stacks else {},
        plain_http_hosts=frozenset().union(*map(plain_http_hosts, stacks)),
        clock=outside.clock,
        announce=outside.console.retrying,
        run=outside.run,
    )


def variables_of(loaded: LoadedStack) -> dict[str, str]:
    """Return what programs and clients find in their environment."""
    return {name: found.value for name, found in loaded.context.variables.env_map.items()}


def plain_http_hosts(loaded: LoadedStack) -> frozenset[str]:
    """Return the registries that speak no TLS: those that environments declare as their own."""
    hosts = set()
    for name in loaded.stack.environments:
        local = loaded.stack.environment(name).local_registry
        if local and local.enabled and (host := local.name.strip()):
            hosts.add(f"{host}:{local.port}" if local.port else host)
    return frozenset(hosts)
