"""How the agent of a run gets to its model."""

from __future__ import annotations

import re
import secrets
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.agent.proxy.access import model_access
from codexctl_tasks.agent.proxy.choice import proxy_settings
from codexctl_tasks.agent.proxy.showing import shown_lines
from codexctl_tasks.errors import ClusterError, ConfigurationError, DeadlineError, UsageError
from codexctl_tasks.stack.files import display, inside, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from codexctl_tasks.agent.proxy.objects import ProxySettings
    from codexctl_tasks.requests.prompt_runs import PromptRunRequest
    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.world.cluster import Cluster
    from codexctl_tasks.world.outside import Outside


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """How the agent reaches a model."""

    base_url: str
    """What comes before ``/responses``."""
    token: str = field(repr=False)
    """Of this run alone."""
    key_fix: str
    """What to do when the model refuses the key."""
    is_key_refused: Callable[[], bool] = field(repr=False)
    """Ask whether it has; ``ClusterError``: nobody can tell."""


_KEYS = "OPENAI_API_KEY or CODEXCTL_MODEL_KEY"
"""As workflows call their secret, and codexctl its variable; both are read."""
_WORD = re.compile(r"[!-~]+")
_SHOWN_RUN = "id-of-run"


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
        token, fix = request.model_token or secrets.token_hex(16), "see CODEXCTL_MODEL_TOKEN"
        yield ModelAccess(request.model_url, token, fix, lambda: False)
        return
    key = _key(request)
    settings = _settings(loaded, run=secrets.token_hex(6), key=key, life_s=life_s)
    outside.console.step("model", "starting a proxy, which alone has the key")
    with ExitStack() as stack:
        try:
            access = stack.enter_context(model_access(cluster, outside.clock, settings))
        except DeadlineError as error:  # neither the agent's time ran out, nor that for a slot
            raise ClusterError(error.where, error.what, error.fix) from error
        fix = f"give a valid one as {_KEYS}"
        yield ModelAccess(access.base_url, access.token, fix, access.is_key_refused)


def _key(request: PromptRunRequest) -> str:
    """Return the model's key, which has to be what a header can hold."""
    if not request.model_key:
        fix = f"set {_KEYS} to the model's key, or give the address of a server"
        raise UsageError("--model-url", "is required without a key", fix)
    if not _WORD.fullmatch(request.model_key):
        what = "is no single word of printable ASCII characters"
        raise UsageError(_KEYS, what, "copy the key of the model once more")
    return request.model_key


def shown_proxy(loaded: LoadedStack) -> list[str]:
    """
    Return what a run would make for its proxy, a line each.

    Raises:
        ConfigurationError: There is no image for one.
    """
    return list(shown_lines(_settings(loaded, run=_SHOWN_RUN, key="", life_s=0)))


def _settings(loaded: LoadedStack, *, run: str, key: str, life_s: float) -> ProxySettings:
    proxy = loaded.stack.codex.proxy.model_copy(update={"image": loaded.proxy_image()})
    return proxy_settings(
        proxy,
        project=loaded.context.project,
        run=run,
        slot=loaded.source.slot,
        slot_namespace=loaded.context.namespace,
        key=key,
        life_s=round(life_s),
        authorities=_project_file(loaded, proxy.ca_file) if proxy.ca_file else "",
    )


def _project_file(loaded: LoadedStack, name: str) -> str:
    found = inside(loaded.source.config.resolve().parent, name)
    if found is None:
        where = loaded.document.location(("codex", "proxy", "caFile"))
        raise ConfigurationError(where, f"{name} is outside of the project", "keep it inside")
    return read_text(found, display(found), "codex.proxy.caFile names it")
