"""
The base image's files: Python, Redis and a shell, from the machine's own package sources.

Made once per machine, release and recipe, and kept in the cache as one tar
file: the single layer of the image.
"""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import tarfile
from typing import TYPE_CHECKING

from sandbox import console
from sandbox.errors import SandboxError
from sandbox.places import Places, exclusive

if TYPE_CHECKING:
    from pathlib import Path

PACKAGES = ["python3", "python3-redis", "redis-server", "busybox", "ca-certificates", "git"]
_RECIPE = 4  # raise it when what follows changes the files
# Documentation, and what only package scripts would use: half of all.
_LEFT_OUT = re.compile(
    r"dev/|usr/share/(doc|man|locale|info|i18n|lintian|perl)/|usr/lib/[^/]+/(perl|gconv)|"
    r"usr/lib/[^/]+/libperl|usr/bin/perl|var/cache/apt/|var/lib/apt/lists/"
)
_APPLETS = """
    [ ash awk base64 basename cat chmod chown clear cp cut date dd df dirname du echo env expr
    false find free getopt grep gunzip gzip head hexdump hostname httpd id ip kill ln logger ls
    md5sum mkdir mkfifo mktemp more mv nc nslookup od paste ping printenv printf ps pwd readlink
    realpath rm rmdir sed seq setsid sh sha256sum sleep sort stat stty sync tail tee telnet test
    time timeout top touch tr true truncate tty uname uniq unzip uptime vi watch wc wget which
    whoami xargs xxd yes
""".split()  # noqa: SIM905 - a list would be a page long
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "app:x:1000:1000:app:/home/app:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
_FOLDERS = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700, "home/app": 0o755}


def read_release(text: str) -> dict[str, str]:
    """Parse ``/etc/os-release``."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip("\"'") for key, _, value in pairs}


def build_base(places: Places, release: dict[str, str]) -> Path:
    """Return the tar file of the base image, making it when it is not there."""
    recipe = json.dumps([_RECIPE, release.get("VERSION_CODENAME"), PACKAGES, _APPLETS, _FILES])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    target = places.cache / f"base-{release.get('VERSION_CODENAME')}-{os.uname().machine}-{key}.tar"
    if target.exists():
        return target
    with exclusive(places.cache / "base.lock", "making the base image"):
        if not target.exists():
            step = "making the base image from Debian packages"
            console.say(f"{step}, once: {', '.join(PACKAGES)}")
            with console.heartbeat(step):
                _make(target, release["VERSION_CODENAME"])
    return target


def _make(target: Path, codename: str) -> None:
    raw = target.with_suffix(".raw")
    partial = target.with_suffix(".partial")
    try:
        _run_mmdebstrap(raw, codename)
        with tarfile.open(raw) as source, tarfile.open(partial, "w") as layer:
            _refine(source, layer)
        partial.replace(target)
    finally:
        raw.unlink(missing_ok=True)
        partial.unlink(missing_ok=True)


def _run_mmdebstrap(raw: Path, codename: str) -> None:
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(PACKAGES)}"]
    # Compiled once here, or every start of a pod would do it again: it may not write there.
    compiling = "python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3*"
    command += [f"--customize-hook=chroot \"$1\" /bin/busybox sh -c '{compiling} || true'"]
    process = subprocess.Popen(
        [*command, "--format=tar", codename, str(raw), "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that Ctrl-C reaches us first, and we end all of it
    )
    try:
        output, _ = process.communicate("\n".join(_list_sources(codename)))
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)  # it takes its mounts down itself
        process.wait()
        raise
    if process.returncode:
        errors = [line for line in output.splitlines() if line.startswith(("E:", "Err"))]
        reason = (errors or output.splitlines() or ["failed"])[0]
        raise SandboxError("mmdebstrap", reason, "check the package sources: apt-get update")


def _list_sources(codename: str) -> list[str]:
    """Return the machine's package sources of its own release, as one-line entries."""
    form = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    entries = sorted({line for line in shown.splitlines() if line.split()[1].startswith(codename)})
    if not entries:
        raise SandboxError("apt", f"has no package source for {codename}", "apt-get update")
    return [f"deb {entry}" for entry in entries]


def _refine(source: tarfile.TarFile, layer: tarfile.TarFile) -> None:
    """Copy the files in a fixed order without documentation; add what programs expect."""
    members = {member.name.removeprefix("./"): member for member in source}
    for name in sorted(members):
        # Every path once: builders refuse a layer in which one stands twice.
        if _LEFT_OUT.match(f"{name}/") or name in {*_FILES, *_FOLDERS, ".", ""}:
            continue
        member = copy.copy(members[name])
        member.name = name
        if member.islnk():
            member.linkname = member.linkname.removeprefix("./")
        layer.addfile(member, source.extractfile(members[name]) if member.isreg() else None)
    for name, mode in _FOLDERS.items():
        layer.addfile(_entry(name, tarfile.DIRTYPE, mode, 1000 if name == "home/app" else 0))
    for name, text in _FILES.items():
        entry = _entry(name, tarfile.REGTYPE, 0o644)
        entry.size = len(text)
        layer.addfile(entry, io.BytesIO(text.encode()))
    there = {name.rpartition("/")[2] for name in members if "bin/" in name}
    for applet in _APPLETS:
        if applet not in there:
            entry = _entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
            entry.linkname = "/bin/busybox"
            layer.addfile(entry)


def _entry(name: str, kind: bytes, mode: int, owner: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = kind, mode, owner, owner
    return entry
