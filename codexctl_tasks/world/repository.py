"""
A bare repository of our own, in which nothing runs that somebody else wrote.

It is made in an empty folder without templates. Git gets an environment and a configuration made
here: no settings of the system or of a user, no hooks, no prompts, one protocol. What strangers
made is only ever objects in it; nothing is checked out. The token is in the environment of git
alone, where a credential helper reads it for one origin.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from codexctl_tasks.errors import CodexctlError, TransientError
from codexctl_tasks.world.github_origins import checked_origin

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

LOCAL_S, NETWORK_S = 300.0, 900.0
"""How long one command may take."""
_TOKEN = "CODEXCTL_GIT_TOKEN"  # noqa: S105 - the name of a variable
_ANSWER = f'printf "username=x-access-token\\npassword=%s\\n" "${_TOKEN}"'
_HELPER = f'!f() {{ test "$1" = get && {_ANSWER}; }}; f'
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.sshCommand": "false",
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    "core.logAllRefUpdates": "false",
    "credential.helper": "",
    "protocol.allow": "never",
    "transfer.fsckObjects": "true",
    "transfer.bundleURI": "false",
    "fetch.recurseSubmodules": "false",
    "push.gpgSign": "false",
    "push.recurseSubmodules": "no",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}
_PASSED_ON = ("PATH", "http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY")
_AUTHORITIES = {"SSL_CERT_FILE": "GIT_SSL_CAINFO", "SSL_CERT_DIR": "GIT_SSL_CAPATH"}
_PASSING = re.compile(
    r"Could not resolve|Failed to connect|Connection (?:refused|reset|timed out)|timed out"
    r"|HTTP 5\d\d|error: 5\d\d|error: 429|early EOF|hung up|RPC failed|too slow",
    re.IGNORECASE,
)
_REFUSED_TOKEN = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|error: 40[13]|Permission to \S+"
)
_REJECTED = re.compile(r"^!\t[^\t]*\t\[(?:remote )?rejected\] \((.*)\)$", re.MULTILINE)
_UNKNOWN = re.compile(r"not our ref|couldn't find remote ref|unadvertised object")
_LONGEST_SAID = 500


class GitError(CodexctlError):
    """Git failed, or the server of a repository refused."""

    exit_code = 5


class TransientGitError(GitError, TransientError):
    """The same command may work later."""


class SlowGitError(GitError):
    """A command took too long that asks no server: the next one would, too."""


class RejectedError(GitError):
    """The server does not take what is pushed, or has not what is fetched."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository on a server."""

    url: str
    """HTTPS, or plain HTTP on loopback; without credentials."""
    token: str = field(repr=False)
    """Of whoever may read or write there; empty: nobody is asked."""


@dataclass(frozen=True, slots=True)
class Said:
    """What git has printed, and how it ended."""

    exit_code: int
    out: bytes
    error: str


class Repository:
    """A bare repository."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], *, object_format: str = "sha1"
    ) -> None:
        """
        Make an empty one.

        Args:
            folder: Empty; it holds the repository and a home without settings.
            environ: The process environment, of which little is passed on.
            object_format: ``sha1`` or ``sha256``.

        Raises:
            GitError: There is no git, or it refuses.
        """
        self._folder, home = folder / "repository", folder / "home"
        for each in (self._folder, home):
            each.mkdir(mode=0o700)
        passed = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
        trust = {theirs: environ[ours] for ours, theirs in _AUTHORITIES.items() if ours in environ}
        self._environ = {
            **passed,
            **trust,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "false",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_CEILING_DIRECTORIES": str(folder),
            "LC_ALL": "C",
        }
        words = ("--bare", "--quiet", "--template=", f"--object-format={object_format}")
        self.ask("init", *words, "--initial-branch=none", ".")

    def ask(self, *words: str, given: bytes = b"", accepts: Collection[int] = (0,)) -> bytes:
        """
        Return what git prints.

        Args:
            words: Command and arguments.
            given: Its input.
            accepts: Exit codes that are fine.

        Raises:
            GitError: Any other one.
        """
        said = self.run(*words, given=given)
        if said.exit_code not in accepts:
            raise GitError(f"git {words[0]}", _shown(said.error) or f"exit code {said.exit_code}")
        return said.out

    def run(
        self,
        *words: str,
        given: bytes = b"",
        settings: Mapping[str, str] | None = None,
        token: str = "",
        timeout_s: float = LOCAL_S,
    ) -> Said:
        """
        Run git, however it ends; *settings*: further ones, *token*: for the helper.

        Raises:
            SlowGitError: It was ended after *timeout_s*.
            GitError: There is no git.
        """
        chosen = {**_SETTINGS, **(settings or {})}.items()
        flags = (word for name, value in chosen for word in ("-c", f"{name}={value}"))
        where = f"git {words[0]}"
        try:
            done = subprocess.run(
                ["git", *flags, *words],
                cwd=self._folder,
                env={**self._environ, **({_TOKEN: token} if token else {})},
                input=given,
                capture_output=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired as error:
            raise SlowGitError(where, f"took longer than {timeout_s:.0f} s") from error
        except OSError as error:
            what = f"git cannot be run: {error.strerror}"
            raise GitError(where, what, "install git") from error
        return Said(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def has(self, commit: str) -> bool:
        """Tell whether a commit is here."""
        return self.run("cat-file", "-e", f"{commit}^{{commit}}").exit_code == 0

    def fetch(self, remote: Remote, commit: str, *, whole: bool) -> None:
        """
        Bring a commit here; *whole*: with all that it descends from, else alone.

        Raises:
            RejectedError: The server does not know it.
            GitError: Everything else.
        """
        depth = () if whole else ("--depth=1",)
        flags = ("--quiet", "--no-tags", "--no-write-fetch-head", *depth)
        if whole and (self._folder / "shallow").exists():
            flags = (*flags, "--unshallow")
        self._ask_server("fetch", remote, *flags, "--", remote.url, commit)

    def tip(self, remote: Remote, branch: str) -> str:
        """Return the commit of a branch on a server; empty: there is none."""
        ref = f"refs/heads/{branch}"
        told = self._ask_server("ls-remote", remote, "--quiet", "--", remote.url, ref)
        found = (line.split("\t") for line in told.decode(errors="replace").splitlines())
        return next((sha for sha, name in found if name == ref), "")

    def push(self, remote: Remote, commit: str, branch: str) -> None:
        """
        Push a commit to a branch, which must not lose anything by it.

        Raises:
            RejectedError: The branch has moved, is protected, or a rule of the server forbids it.
            GitError: Everything else.
        """
        refspec = f"{commit}:refs/heads/{branch}"
        self._ask_server("push", remote, "--porcelain", "--no-verify", "--", remote.url, refspec)

    def _ask_server(self, command: str, remote: Remote, *words: str) -> bytes:
        try:
            origin = checked_origin(remote.url)
        except CodexctlError as error:  # it may hold a password: it is not shown
            what, fix = (
                "is no address of a git server",
                "write https://HOST, as in GITHUB_SERVER_URL",
            )
            raise GitError("git", what, fix) from error
        scheme = urlsplit(origin).scheme
        settings = {f"protocol.{scheme}.allow": "always"}
        if remote.token:
            settings[f"credential.{origin}.helper"] = _HELPER
        more: dict[str, Any] = {"settings": settings, "token": remote.token}
        try:
            said = self.run(command, *words, **more, timeout_s=NETWORK_S)
        except SlowGitError as error:
            raise TransientGitError(
                remote.url, error.what, "see whether it can be reached"
            ) from error
        if said.exit_code:
            raise _refusal(remote.url, said)
        return said.out


def _refusal(url: str, said: Said) -> GitError:
    """Return what a server's refusal means."""
    if rejected := _REJECTED.search(said.out.decode(errors="replace")):
        told = " ".join(_of_server(said.error))
        what = f"{rejected[1]}{f': {told}' if told else ''}"
        return RejectedError(url, what[:_LONGEST_SAID])
    what = _shown(said.error) or f"git ended with {said.exit_code}"
    if _UNKNOWN.search(said.error):
        return RejectedError(url, what)
    if _REFUSED_TOKEN.search(said.error):
        return GitError(url, what, "the token needs the permission contents: write")
    if _PASSING.search(said.error):
        return TransientGitError(url, what, "see whether the server can be reached")
    return GitError(url, what)


def _of_server(error: str) -> Iterator[str]:
    """Yield what the server itself has to say."""
    for line in error.splitlines():
        text = line.removeprefix("remote:").strip()
        if line.startswith("remote:") and text:
            yield text


def _shown(error: str) -> str:
    lines = (line.strip() for line in error.splitlines())
    return "; ".join(line for line in lines if line)[:_LONGEST_SAID]
