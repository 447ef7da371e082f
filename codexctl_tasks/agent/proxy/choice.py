"""From ``codex.proxy`` of services.yaml to what a proxy is for; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from codexctl_tasks.agent.proxy.objects import ProxySettings
from codexctl_tasks.errors import ConfigurationError

if TYPE_CHECKING:
    from codexctl_tasks.stack.model import ModelProxy

OPENAI = "https://api.openai.com/v1"
_RUN = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_MEGABYTE = 2**20


def proxy_settings(
    written: ModelProxy,
    *,
    project: str,
    run: str,
    slot: int,
    slot_namespace: str,
    key: str,
    life_s: int,
    authorities: str = "",
) -> ProxySettings:
    """
    Return what a proxy is for.

    Args:
        written: In services.yaml.
        project: Name of the stack.
        run: No two that live at the same time have the same; part of the names of objects.
        slot: 0: none.
        slot_namespace: Whose pods may reach it.
        key: Of the model; empty only where nothing is made of it.
        life_s: For how long the run may last, with its beginning and end.
        authorities: Content of `ModelProxy.ca_file`; empty: there is none.

    Raises:
        ConfigurationError: A key of ``codex.proxy`` is missing or wrong.
    """
    if not _RUN.fullmatch(run):
        raise ValueError(run)
    upstream = (written.upstream or OPENAI).rstrip("/")
    place = written.namespace or f"{project}-codexctl-model"
    _check(written, upstream, place, slot_namespace)
    return ProxySettings(
        project=project,
        run=run,
        slot=slot,
        slot_namespace=slot_namespace,
        image=written.image,
        upstream=upstream,
        key=key,
        namespace=place,
        pull_secret=written.pull_secret,
        authorities=authorities,
        life_s=life_s,
        **_limits(written),
    )


def _limits(written: ModelProxy) -> dict[str, Any]:
    return {
        "models": written.models,
        "tools": written.tools,
        "egress": written.egress,
        "max_requests": written.max_requests or 2000,
        "max_request_bytes": (written.max_request_megabytes or 64) * _MEGABYTE,
        "agent_pods": written.agent_pods,
    }


def _check(written: ModelProxy, upstream: str, place: str, slot_namespace: str) -> None:
    if not written.image:
        fix = "name an image with Python 3.9 or newer, such as the agent's"
        raise ConfigurationError("codex.proxy.image", "is not given", fix)
    _check_address("codex.proxy.upstream", upstream)
    if written.egress:
        _check_address("codex.proxy.egress", written.egress)
    if place == slot_namespace:
        what = "is the namespace of the slot, where the agent could read the key"
        raise ConfigurationError("codex.proxy.namespace", what, "name another one")


def _check_address(where: str, address: str) -> None:
    try:
        parts = urlsplit(address)
        is_whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_whole = False
    if not is_whole or "@" in address:
        what = "is no http or https address without a password"
        raise ConfigurationError(where, what, "write it as https://host/path")
