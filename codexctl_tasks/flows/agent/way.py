"""How the agent of a run gets to its model."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from codexctl_tasks.agent.proxy.access import model_access
from codexctl_tasks.agent.proxy.choice import proxy_settings
from codexctl_tasks.errors import ConfigurationError, UsageError
from codexctl_tasks.stack.files import display, inside, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from codexctl_tasks.requests.prompt_runs import PromptRunRequest
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


class ModelAccess(NamedTuple):
    """How the agent reaches a model."""

    base_url: str
    """What comes before ``/responses``."""
    token: str
    """Of this run alone."""


@contextmanager
def way_to_model(
    request: PromptRunRequest,
    cluster: Cluster,
    outside: Outside,
    loaded: LoadedStack,
    life_s: float,
) -> Iterator[ModelAccess]:
    """
    Give a way to the model, as long as the agent works; *life_s*: at most so long.

    Raises:
        UsageError: There is neither an address nor a key.
        ConfigurationError, ClusterError, DeadlineError: No proxy can be started.
    """
    if request.model_url:
        yield ModelAccess(request.model_url, request.model_token or secrets.token_hex(16))
        return
    if not request.model_key:
        fix = "set CODEXCTL_MODEL_KEY to the model's key, or give the address of a server"
        raise UsageError("--model-url", "is required without a key", fix)
    written, file = loaded.stack.codex.proxy, loaded.stack.codex.proxy.ca_file
    settings = proxy_settings(
        written,
        project=loaded.context.project,
        run=secrets.token_hex(6),
        slot=loaded.source.slot,
        slot_namespace=loaded.context.namespace,
        key=request.model_key,
        life_s=round(life_s),
        authorities=_project_file(loaded, file) if file else "",
    )
    outside.console.step("model", "starting a proxy, which alone has the key")
    with model_access(cluster, outside.clock, settings) as access:
        yield ModelAccess(access.base_url, access.token)


def _project_file(loaded: LoadedStack, name: str) -> str:
    found = inside(loaded.source.config.resolve().parent, name)
    if found is None:
        where = loaded.document.location(("codex", "proxy", "caFile"))
        raise ConfigurationError(where, f"{name} is outside of the project", "keep it inside")
    return read_text(found, display(found), "codex.proxy.caFile names it")
