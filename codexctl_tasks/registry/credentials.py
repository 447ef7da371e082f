"""
Names and passwords of registries, where Docker, Podman and skopeo keep them.

The files are read once, when the first registry asks who we are. A helper that fails is told and
passed over: the registry may let anybody in.
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from codexctl_tasks.world.process import RunProgram

HELPER_TIMEOUT_S = 30.0
_ASK_HELPER = 'printf %s "$1" | "docker-credential-$2" get 2>/dev/null'
"""What helpers read comes by a pipe; what they complain about may hold secrets."""
_NOT_FOUND = 127
_NOBODY = "<token>"
"""A helper's name for somebody whose secret is an identity token."""
_DOCKER_HUB = ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are for a registry."""

    name: str
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """Given out in place of a password; tokens are fetched with it."""

    @property
    def secret(self) -> str:
        """What must not be shown."""
        return self.identity_token or self.password

    @property
    def basic(self) -> str:
        """The value of the header ``Authorization``."""
        pair = f"{self.name}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


class Logins:
    """All logins of this machine's user; of many threads."""

    def __init__(
        self, variables: Mapping[str, str], run: RunProgram, announce: Callable[[str], None]
    ) -> None:
        """
        Prepare; nothing is read yet.

        Args:
            variables: The environment: ``REGISTRY_AUTH_FILE``, ``DOCKER_CONFIG``, ``HOME`` ...
            run: Runs the helpers.
            announce: Is told of helpers that fail.
        """
        self._variables, self._run, self._announce = variables, run, announce
        self._asked: dict[tuple[str, str], Login | None] = {}
        self._lock = threading.Lock()

    def find(self, host: str, repository: str) -> Login | None:
        """
        Return who we are for a repository; None: nobody in particular.

        Raises:
            ConfigurationError: A file cannot be read.
        """
        with self._lock:
            for file in self._files:
                helper = file.helper(host)
                if helper and (login := self._ask(helper, host)):
                    return login
                if login := file.login(host, repository):
                    return login
        return None

    @cached_property
    def _files(self) -> list[_File]:
        paths = dict.fromkeys(_paths(self._variables))
        return [_File(path, _read(path)) for path in paths if path.is_file()]

    def _ask(self, helper: str, host: str) -> Login | None:
        if (helper, host) not in self._asked:
            self._asked[helper, host] = self._asked_anew(helper, host)
        return self._asked[helper, host]

    def _asked_anew(self, helper: str, host: str) -> Login | None:
        lines: list[str] = []
        address = "https://index.docker.io/v1/" if host == "docker.io" else host
        try:
            ended = self._run(
                ["sh", "-c", _ASK_HELPER, "sh", address, helper],
                folder=Path.cwd(),
                environ=self._variables,
                timeout_s=HELPER_TIMEOUT_S,
                tell=lines.append,
            )
        except OSError as error:
            self._announce(f"{host}: no shell to ask docker-credential-{helper}: {error.strerror}")
            return None
        if ended.exit_code == 0:
            return self._read_answer(helper, host, "".join(lines))
        if "credentials not found" not in "".join(lines).lower():
            why = "is not installed" if ended.exit_code == _NOT_FOUND else "failed"
            why = f"did not answer within {HELPER_TIMEOUT_S:g} s" if ended.is_over_time else why
            self._announce(f"{host}: docker-credential-{helper} {why}: going on without")
        return None

    def _read_answer(self, helper: str, host: str, text: str) -> Login | None:
        try:
            answer = json.loads(text)
            name, secret = str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError):
            what = f"docker-credential-{helper} answered with something that is no login"
            self._announce(f"{host}: {what}: going on without")
            return None
        if name == _NOBODY:
            return Login(name, identity_token=secret)
        return Login(name, secret) if secret else None


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    content: Mapping[str, Any] = field(repr=False)

    def helper(self, host: str) -> str:
        """Return the name of the program that keeps a host's password; empty: none."""
        for key, name in _mapping(self.content, "credHelpers").items():
            if _plain(key) == host:
                return str(name or "")
        return str(self.content.get("credsStore") or "")

    def login(self, host: str, repository: str) -> Login | None:
        """Return the login for a repository: the entry whose name says most about it counts."""
        name = f"{host}/{repository}"
        auths = {_plain(key): value for key, value in _mapping(self.content, "auths").items()}
        fitting = [key for key in auths if name == key or name.startswith(f"{key}/")]
        for key in sorted(fitting, key=len, reverse=True):
            if isinstance(auths[key], dict) and (login := self._entry(key, auths[key])):
                return login
        return None

    def _entry(self, key: str, entry: Mapping[str, Any]) -> Login | None:
        name, password = str(entry.get("username") or ""), str(entry.get("password") or "")
        if pair := str(entry.get("auth") or ""):
            try:
                name, _, password = base64.b64decode(pair, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                what = f"the entry of {key} under auths is no base64"
                raise ConfigurationError(str(self.path), what, "log in again") from None
        if token := str(entry.get("identitytoken") or ""):
            return Login(name or _NOBODY, identity_token=token)
        # Docker pads what it writes for some stores with zero bytes.
        return Login(name, password.rstrip("\0")) if name else None


def _paths(variables: Mapping[str, str]) -> Iterator[Path]:
    """Yield the files that may hold logins, the most special first."""
    home = variables.get("HOME")
    if chosen := variables.get("REGISTRY_AUTH_FILE"):
        yield Path(chosen)
    if runtime := variables.get("XDG_RUNTIME_DIR"):
        yield Path(runtime) / "containers" / "auth.json"
    if settings := variables.get("XDG_CONFIG_HOME") or (home and f"{home}/.config"):
        yield Path(settings) / "containers" / "auth.json"
    if docker := variables.get("DOCKER_CONFIG") or (home and f"{home}/.docker"):
        yield Path(docker) / "config.json"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8") or "{}")
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
        raise ConfigurationError(str(path), what, "correct its permissions") from None
    except ValueError:  # its text may hold a password
        raise ConfigurationError(str(path), "is no JSON", "log in again, or remove it") from None
    if not isinstance(content, dict):
        raise ConfigurationError(str(path), "is no JSON object", "log in again, or remove it")
    return content


def _mapping(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def _plain(key: str) -> str:
    """Return host, and repository if there is one, of a key such as ``https://HOST/v1/``."""
    text = key.strip().partition("://")[2] or key.strip()
    host, _, rest = text.rstrip("/").partition("/")
    host = "docker.io" if host.lower() in _DOCKER_HUB else host.lower()
    return f"{host}/{rest}" if rest and rest not in ("v1", "v2") else host
