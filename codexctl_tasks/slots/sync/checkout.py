"""
A checkout: which of its files count, and its ``.git`` without what belongs to this machine.

Its configuration is made anew of the settings that describe the repository. Everything else is left
out: credentials in headers and addresses, included files, programs that git would start.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from codexctl_tasks.slots.sync.history import is_carried
from codexctl_tasks.slots.sync.manifest import Kind, parents_of
from codexctl_tasks.slots.sync.sources import Sources, everything_below, shown
from codexctl_tasks.world.git import ask_git

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from codexctl_tasks.slots.sync.memory import Memory

_LISTING = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
_CARRIED = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode"
    r"|symlinks|autocrlf|eol|sparsecheckout|sparsecheckoutcone)"
    r"|extensions\.(objectformat|refstorage|partialclone|compatobjectformat)"
    r"|remote\..*\.(url|pushurl|fetch|tagopt|promisor|partialclonefilter)"
    r"|branch\..*\.(remote|merge|rebase)|submodule\..*\.(url|active|branch)|submodule\.active"
    r"|user\.(name|email)|lfs\.repositoryformatversion",
    re.DOTALL,
)
_WORKTREE = re.compile(r"core\.worktree")
_LINK = re.compile(rb"gitdir: ([^/].*)\n?", re.DOTALL)


def read_sources(
    folder: bytes, environ: Mapping[str, str], memory: Memory | None = None
) -> Sources:
    """Return what is sent of a folder; *environ*: the process environment, for git."""
    sources = Sources(folder, memory=memory)
    if os.path.lexists(os.path.join(folder, b".git")):
        _add_checkout(sources, b"", environ)
    else:
        for path in everything_below(folder):
            sources.add(path)
    return sources


def ignored_paths(
    sources: Sources, paths: Iterable[bytes], environ: Mapping[str, str]
) -> frozenset[bytes]:
    """Return which paths of the other side alone the checkout's rules ignore; none: no checkout."""
    if b".git" not in sources.entries:
        return frozenset()
    entries = sources.entries
    inner = {path.rpartition(b"/")[0] for path in entries if path.endswith(b"/.git")}
    asked = [
        path
        for path in paths
        if not path.startswith(b".git/")
        and path != b".git"
        and not any(
            parent in inner or (parent in entries and entries[parent].kind is not Kind.FOLDER)
            for parent in parents_of(path)
        )
    ]
    if not asked:
        return frozenset()
    told = ask_git(
        sources.root,
        *("check-ignore", "-z", "--stdin", "--no-index"),
        environ=environ,
        given=b"\0".join([*asked, b""]),
        accepts=(0, 1),
    )
    return frozenset(told.split(b"\0")[:-1])


def _add_checkout(sources: Sources, inner: bytes, environ: Mapping[str, str]) -> None:
    """Take a checkout; *inner*: its path below the root, with a slash at its end unless empty."""
    top = os.path.join(sources.root, inner)
    for name in ask_git(top, *_LISTING, environ=environ).split(b"\0")[:-1]:
        path = inner + name.rstrip(b"/")
        full = os.path.join(sources.root, path)
        if os.path.isdir(full) and not os.path.islink(full):  # a checkout inside of this one
            if os.path.lexists(os.path.join(full, b".git")):
                _add_checkout(sources, path + b"/", environ)
        else:
            sources.add(path)
    git = os.path.join(top, b".git")
    if os.path.isdir(git) and not os.path.islink(git):
        _add_history(sources, inner + b".git/", environ)
    elif _leads_inside(inner, git):
        sources.add(inner + b".git")
    else:
        sources.warnings.append(
            f"{shown(inner) or '.'}: its history is not sent: it is kept outside of this folder"
        )


def _leads_inside(inner: bytes, git: bytes) -> bool:
    """Tell whether the ``.git`` of a submodule names a folder of the ``.git`` that is sent."""
    if os.path.islink(git):
        return False
    with open(git, "rb") as file:
        found = _LINK.fullmatch(file.read(4096))
    if found is None:
        return False
    return os.path.normpath(inner + found[1].rstrip(b"\n")).startswith(b".git/")


def _add_history(sources: Sources, git: bytes, environ: Mapping[str, str]) -> None:
    root = os.path.join(sources.root, git)
    if os.path.lexists(os.path.join(root, b"objects/info/alternates")):
        sources.warnings.append(
            f"{shown(git)}: it borrows objects from another checkout, which are not sent: "
            "git repack -ad makes them its own"
        )
    for path in everything_below(root):
        whole = git + path
        if not is_carried(whole):
            continue
        if whole.endswith(b"/config") and b"/refs/" not in whole:
            sources.add_content(whole, plain_config(os.path.join(root, path), environ))
        else:
            sources.add(whole)


def plain_config(file: bytes, environ: Mapping[str, str]) -> bytes:
    """Return a configuration with what describes the repository, without credentials."""
    words = ("config", "--file", os.path.abspath(file), "--null", "--no-includes", "--list")
    told = ask_git(b"/", *words, environ=environ).decode("utf-8", "surrogateescape")
    lines = []
    for item in told.split("\0")[:-1]:
        key, has_value, value = item.partition("\n")
        is_module = b"/.git/modules/" in b"/" + file
        if _CARRIED.fullmatch(key) or (is_module and _WORKTREE.fullmatch(key)):
            lines += _setting(key, _plain_address(key, value) if has_value else "true")
    return "".join(lines).encode("utf-8", "surrogateescape")


def _setting(key: str, value: str) -> list[str]:
    section, _, rest = key.partition(".")
    inner, _, name = rest.rpartition(".")
    head = f'[{section} "{_escaped(inner)}"]' if inner else f"[{section}]"
    text = _escaped(value).replace("\n", "\\n").replace("\t", "\\t")
    return [f'{head}\n\t{name} = "{text}"\n']


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _plain_address(key: str, value: str) -> str:
    """Return an address without user and password; those of SSH keep their user."""
    if not key.endswith("url") or "://" not in value:
        return value
    try:
        url = urlsplit(value)
    except ValueError:
        return ""
    user, _, host = url.netloc.rpartition("@")
    if "ssh" in url.scheme and user:
        host = f"{user.partition(':')[0]}@{host}"
    return urlunsplit(url._replace(netloc=host, query="", fragment=""))
