"""
The agent's configuration, and what it finds in its environment; pure.

What a project writes comes first, what codexctl needs wins over it: the model is reached through
the proxy alone, and nothing that lies in the workspace configures the agent, for what an earlier
run has left there nobody has read.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codexctl_tasks.agent.mcp import Servers
from codexctl_tasks.agent.toml import Table, impose, merge, read_table, write_table
from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.stack.files import display, inside, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.validation import KeyPath

FILE = "config.toml"
TOKEN = "CODEXCTL_MODEL_TOKEN"  # noqa: S105 - the variable, not its value
"""Variable in which the agent finds the token of its run."""
_PROVIDER = "codexctl"
_WEB_SEARCH = "web_search"


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the agent is told beside its prompt."""

    text: str
    """Of its configuration file; no secret is in it."""
    environment: Mapping[str, str] = field(repr=False)
    """Secrets that the file refers to."""


def configuration(
    loaded: LoadedStack, *, model_url: str, folder: str, has_servers: bool
) -> Configuration:
    """
    Put the configuration together.

    Args:
        loaded: The stack; ``codex`` in it is what a project wants.
        model_url: Of the proxy, with the path before ``/responses``.
        folder: Of the workspace in the pod.
        has_servers: The agent may use those of ``codex.mcp``.

    Raises:
        ConfigurationError: A piece cannot be rendered, is no TOML, or says what another one says.
    """
    table: Table = {}
    for name, place, piece in _pieces(loaded):
        if twice := merge(table, piece):
            what = f"{name} sets {twice}, which another piece has set already"
            raise ConfigurationError(place, what, "set it once")
    environment: dict[str, str] = {}
    if has_servers:
        servers = Servers(loaded)
        environment = servers.environment
        if servers.tables and (twice := merge(table, {"mcp_servers": servers.tables})):
            where = loaded.document.location(("codex", "mcp"))
            what = f"codex.mcp.servers sets {twice}, which configTemplate or configBlocks sets"
            raise ConfigurationError(where, what, "describe each server once")
    else:
        table.pop("mcp_servers", None)
    table.pop("skills", None)  # the launcher adds to it
    impose(table, _imposed(model_url, folder))
    if _WEB_SEARCH not in loaded.stack.codex.proxy.tools:
        table[_WEB_SEARCH] = "disabled"
    text = write_table(table)
    if read_table(text, FILE, lambda line: Location(FILE, line)) != table:
        raise ConfigurationError(FILE, "cannot be written as TOML", "simplify codex.configBlocks")
    return Configuration(text, environment)


def _imposed(model_url: str, folder: str) -> Table:
    return {
        "model_provider": _PROVIDER,
        "check_for_update_on_startup": False,
        "project_doc_max_bytes": 0,  # AGENTS.md of a head that nobody trusts; the prompt has ours
        "skills": {"include_instructions": False},  # the same; `$name` would still start one
        "analytics": {"enabled": False},
        "shell_environment_policy": {"ignore_default_excludes": False},
        "projects": {folder: {"trust_level": "untrusted"}},
        "model_providers": {
            _PROVIDER: {
                "name": _PROVIDER,
                "base_url": model_url,
                "wire_api": "responses",
                "env_key": TOKEN,
                "supports_websockets": False,
            }
        },
    }


def _pieces(loaded: LoadedStack) -> Iterator[tuple[str, Location, Table]]:
    """Yield what the project says: what it is called, where it stands, and the table."""
    codex = loaded.stack.codex
    if codex.config_template:
        path: KeyPath = ("codex", "configTemplate")
        yield _in_file(loaded, codex.config_template, path, "codex.configTemplate")
    for index, block in enumerate(codex.config_blocks):
        path = ("codex", "configBlocks", index)
        name = f"codex.configBlocks[{index}]" + (f" ({block.name})" if block.name else "")
        if block.file and block.toml:
            what = f"{name} has both toml and file"
            raise ConfigurationError(loaded.document.location(path), what, "give one of the two")
        if block.file:
            yield _in_file(loaded, block.file, (*path, "file"), name)
            continue
        inner: KeyPath = (*path, "toml")
        place_of = functools.partial(loaded.document.text_location, inner)
        table = read_table(block.toml, name, place_of)
        yield name, loaded.document.location(inner), table


def _in_file(
    loaded: LoadedStack, file: str, path: KeyPath, name: str
) -> tuple[str, Location, Table]:
    found = inside(loaded.source.config.resolve().parent, file)
    if found is None:
        what = f"{name}: {file} is outside of the project"
        fix = "keep it below the folder of services.yaml"
        raise ConfigurationError(loaded.document.location(path), what, fix)
    shown = display(found)
    text = read_text(found, shown, f"{name} in {loaded.file} names it")
    rendered = loaded.templates.render(text, shown)
    return name, Location(shown, 1), read_table(rendered.text, name, rendered.place)
