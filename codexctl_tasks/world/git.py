"""Ask git about a checkout; nothing that the checkout configures is run."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

_HARMLESS = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")


def ask_git(
    folder: bytes,
    *words: str | bytes,
    environ: Mapping[str, str],
    given: bytes = b"",
    accepts: Collection[int] = (0,),
) -> bytes:
    """
    Return what git prints.

    Args:
        folder: Where it runs.
        words: Command and arguments.
        environ: The process environment; variables that lead git elsewhere are left out.
        given: Its input.
        accepts: Exit codes that are fine.

    Raises:
        ConfigurationError: There is no git, or it refuses.
    """
    calm = {name: value for name, value in environ.items() if not name.startswith("GIT_")}
    command = ("git", *_HARMLESS, *words)
    where = os.fsdecode(folder)
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**calm, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"},
            input=given,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        what = f"git cannot be run: {error.strerror}"
        raise ConfigurationError(where, what, "install it, or leave the .git out") from error
    if done.returncode not in accepts:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        what = f"git {os.fsdecode(words[0])} failed: {said[0] if said else done.returncode}"
        raise ConfigurationError(where, what, "see whether git works there")
    return done.stdout


def head_of(folder: Path, environ: Mapping[str, str]) -> str:
    """Return the commit that a checkout is at; empty: it has none, or is no checkout."""
    if not os.path.lexists(folder / ".git"):
        return ""
    words = ("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    told = ask_git(os.fsencode(folder), *words, environ=environ, accepts=(0, 1))
    return told.decode("ascii", "replace").strip()
