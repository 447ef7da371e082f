"""``codex.mcp.servers`` as the agent's configuration has them; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codexctl_tasks.stack.loading import LoadedStack
    from codexctl_tasks.stack.model import McpServer, ValueSource

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Servers:
    """Tables of the configuration, and the variables that hold what must not stand in it."""

    def __init__(self, loaded: LoadedStack) -> None:
        """
        Read all servers of a stack.

        Raises:
            ConfigurationError: One cannot be reached as it is described, or a value is missing.
        """
        self._loaded = loaded
        self.environment: dict[str, str] = {}
        """For the agent; values from outside may be secret."""
        self.tables: dict[str, dict[str, Any]] = {}
        """By the server's name."""
        for index, server in enumerate(loaded.stack.codex.mcp.servers):
            if not _NAME.fullmatch(server.name) or server.name in self.tables:
                why = "stands there twice" if server.name in self.tables else "is no name"
                fix = "use letters, digits, - and _, each name once"
                raise self._wrong(index, "name", f"{server.name!r} {why}", fix)
            self.tables[server.name] = self._table(index, server)

    def _table(self, index: int, server: McpServer) -> dict[str, Any]:
        ways: Mapping[str, Callable[[int, McpServer], dict[str, Any]]] = {
            "stdio": self._program,
            "http": self._address,
            "https": self._address,
            "cluster": self._service,
        }
        kind = server.type or _kind_of(server)
        table = ways[kind](index, server)
        for key in ("tool_timeout_sec", "startup_timeout_sec"):
            if limit := getattr(server, key):
                table[key] = limit
        return {**table, "required": True} if server.required else table

    def _program(self, index: int, server: McpServer) -> dict[str, Any]:
        if not server.command:
            raise self._wrong(index, "command", "is missing", "name the program to start")
        plain, passed = self._values(index, "env", server.env)
        table: dict[str, Any] = {"command": server.command}
        if server.args:
            table["args"] = list(server.args)
        if plain:
            table["env"] = plain
        if passed:
            table["env_vars"] = [self._keep(index, n, n, v) for n, v in passed.items()]
        return table

    def _address(self, index: int, server: McpServer) -> dict[str, Any]:
        if not re.match(r"https?://[^/]", server.endpoint):
            what = f"is {server.endpoint!r}" if server.endpoint else "is missing"
            raise self._wrong(index, "endpoint", what, "write http://... or https://...")
        return self._remote(index, server, server.endpoint)

    def _service(self, index: int, server: McpServer) -> dict[str, Any]:
        service = server.service
        if service is None or not service.name:
            raise self._wrong(index, "service", "has no name", "name the Service of the server")
        namespace = service.namespace or self._loaded.context.namespace
        port = f":{service.port}" if service.port else ""
        path = "/" + (service.path or "/mcp").lstrip("/")
        host = f"{service.name}.{namespace}.svc"
        return self._remote(index, server, f"{service.scheme or 'http'}://{host}{port}{path}")

    def _remote(self, index: int, server: McpServer, url: str) -> dict[str, Any]:
        table: dict[str, Any] = {"url": url}
        if name := server.bearer_token_env_var:
            table["bearer_token_env_var"] = name
            if found := self._loaded.context.variables.env_map.get(name):
                self._keep(index, name, name, found.value)  # else the container may have it
        plain, passed = self._values(index, "headers", server.headers)
        if plain:
            table["http_headers"] = plain
        if passed:
            prefix = f"CODEXCTL_MCP_{re.sub('[^A-Z0-9]', '_', server.name.upper())}"
            table["env_http_headers"] = {
                header: self._keep(index, header, f"{prefix}_{number}", value)
                for number, (header, value) in enumerate(passed.items())
            }
        return table

    def _values(
        self, index: int, key: str, given: Mapping[str, ValueSource]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return what stands in the file as it is, and what comes from outside."""
        variables = self._loaded.context.variables
        plain: dict[str, str] = {}
        passed: dict[str, str] = {}
        for name, source in given.items():
            wanted = source.env_ref or source.var_ref
            if not wanted:
                plain[name] = source.value
                continue
            found = (variables.env_map if source.env_ref else variables.vars).get(wanted)
            if found is not None and found.value:
                passed[name] = found.value
            elif not source.optional:
                fix = "set it, or say optional: true"
                raise self._wrong(index, f"{key}.{name}", f"needs variable {wanted}", fix)
        return plain, passed

    def _keep(self, index: int, what: str, name: str, value: str) -> str:
        """Put a value into the agent's environment; return the variable's name."""
        if not _VARIABLE.fullmatch(name):
            fix = "use letters, digits and _"
            raise self._wrong(index, what, f"{name!r} is no name of a variable", fix)
        if self.environment.setdefault(name, value) != value:
            what_is = f"{name} has another value for another server"
            raise self._wrong(index, what, what_is, "give one of them another name")
        return name

    def _wrong(self, index: int, key: str, what: str, fix: str) -> ConfigurationError:
        path = ("codex", "mcp", "servers", index, key.partition(".")[0])
        where = self._loaded.document.location(path)
        name = f"codex.mcp.servers[{index}].{key}"
        return ConfigurationError(where, f"{name}: {what}", fix)


def _kind_of(server: McpServer) -> str:
    """Return how a server is reached whose type nobody has written."""
    if server.command:
        return "stdio"
    return "cluster" if server.service else "http"
