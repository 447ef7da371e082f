"""Where people find an environment: the pages of ``codex.links``, with the host they are on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

if TYPE_CHECKING:
    from codexctl_tasks.stack.loading import LoadedStack

SLOT_ENV = "ai"
"""Its slots share a domain, and have a host name each below it."""
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_WHOLE = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_KEPT = "/?#&=%+~-._"
"""Of a path; all else is encoded, so that an address stays one wherever it is written."""


class Page(NamedTuple):
    """A page of an environment."""

    title: str
    url: str


def pages_of(loaded: LoadedStack) -> list[Page]:
    """
    Return the pages of an environment, in the order of ``codex.links``.

    One without a title has its address as title. A path that is a whole address stays one; others
    are left out as long as nobody says where the environment is.
    """
    known = host_of(loaded)
    found = []
    for link in loaded.stack.codex.links:
        whole = _WHOLE.fullmatch(link.path.strip())
        scheme, host, path = whole.groups() if whole else ("https", known, link.path.strip())
        if host := _checked(host):
            url = f"{scheme.lower()}://{host}/{quote(path.lstrip('/'), safe=_KEPT)}"
            found.append(Page(link.title.strip() or url, url))
    return found


def host_of(loaded: LoadedStack) -> str:
    """
    Return the host name of an environment; empty: nobody says it, or what is said is none.

    It is that of the first service with ``ingress.hosts`` for the environment. Else it is the base
    domain, for a slot of ``ai`` with ``dev-<slot>.`` before it, as hosts of slots have always been
    called; a domain that names the slot itself is whole.
    """
    env, slot = loaded.source.env, loaded.source.slot
    for index, service in enumerate(loaded.stack.services):
        host = service.ingress.hosts.get(env, "").strip()
        if host and loaded.wants(service, ("services", index)):
            return _checked(host)
    domain = loaded.stack.base_domain.get(env, "").strip()
    names_slot = "Slot" in loaded.header.base_domain.get(env, "")
    if domain and env == SLOT_ENV and slot and not names_slot:
        domain = f"dev-{slot}.{domain}"
    return _checked(domain)


def _checked(host: str) -> str:
    return host if _HOST.fullmatch(host) else ""
