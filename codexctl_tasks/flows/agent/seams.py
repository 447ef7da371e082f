"""What a run needs of others: the prompt, and a way to the model."""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from codexctl_tasks.errors import UsageError
from codexctl_tasks.stack.files import display, read_text

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
def model_access(
    request: PromptRunRequest, cluster: Cluster, outside: Outside, loaded: LoadedStack
) -> Iterator[ModelAccess]:
    """Give a way to the model, as long as the agent works."""
    del cluster, outside, loaded
    if not request.model_url:
        fix = "give the address of a server with /responses"
        raise UsageError("--model-url", "is required", fix)
    yield ModelAccess(request.model_url, request.model_token or secrets.token_hex(16))


def prompt_of(request: PromptRunRequest, loaded: LoadedStack, outside: Outside) -> str:
    """Return what the agent is asked to do."""
    del loaded, outside
    if request.prompt is None:
        raise UsageError("--prompt-file", "is required", "name a file with the whole prompt")
    text = read_text(request.prompt, display(request.prompt), "name another with --prompt-file")
    if not text.strip():
        raise UsageError("--prompt-file", f"{request.prompt} is empty", "say what is to be done")
    return text
