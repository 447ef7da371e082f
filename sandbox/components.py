"""
The components that are built: what they are, their versions, and the build.

Versions are pinned in ``components/go.mod`` (with ``go.sum``); this module
reads them from there. One module for all, so that what they share is compiled
once. Binaries are kept in the cache below a key made of all versions, so they
are built once per machine and version.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from sandbox import console
from sandbox.errors import SandboxError
from sandbox.places import SOURCE, Places, exclusive
from sandbox.toolchain import find_go

MODULE = SOURCE / "components"


@dataclass(frozen=True)
class Component:
    """
    One program built from Go source.

    Attributes:
        name: name of the binary.
        package: Go package of its ``main``; its last part is the name.
        versioned_by: Go module whose version is the component's; empty for our own.

    """

    name: str
    package: str
    versioned_by: str


_KUBERNETES = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",  # not used by the sandbox: for people and for comparison in tests
]
COMPONENTS = [
    Component("etcd", "./cmd/etcd", "go.etcd.io/etcd/server/v3"),
    *(
        Component(name, f"k8s.io/kubernetes/cmd/{name}", "k8s.io/kubernetes")
        for name in _KUBERNETES
    ),
    Component("coredns", "./cmd/coredns", "github.com/coredns/coredns"),
    Component("pause", "./cmd/pause", ""),
]
_TELL_EVERY_S = 15.0


def read_version(component: Component) -> str:
    """Return the pinned version, such as ``v1.34.4``."""
    if not component.versioned_by:
        return ""
    pinned = (MODULE / "go.mod").read_text()
    found = re.search(
        rf"^\s*(?:require )?{re.escape(component.versioned_by)} (v\S+)", pinned, re.MULTILINE
    )
    if not found:
        raise SandboxError("go.mod", f"does not pin {component.name}", "add it")
    return found[1]


def find_binaries(places: Places) -> Path:
    """Return the folder of the built binaries, whether they are there or not."""
    pins = hashlib.sha256()
    for file in sorted([*MODULE.glob("go.*"), *MODULE.glob("cmd/*/main.go")]):
        pins.update(file.read_bytes())
    version = read_version(COMPONENTS[1])
    key = f"kubernetes-{version}-{platform.machine()}-{pins.hexdigest()[:12]}"
    return places.cache / key


def build(places: Places) -> Path:
    """
    Build what is missing and return the folder of the binaries.

    All are built by one command, which uses every core to its end. A build that
    was cut short goes on where it stopped: what was compiled is kept until the
    binaries, complete, get their folder's final name.
    """
    binaries = find_binaries(places)
    if _is_complete(binaries):
        return binaries
    with exclusive(places.cache / "build.lock", "building the components"):
        if not _is_complete(binaries):
            _build_all(binaries, places.cache)
    return binaries


def _is_complete(binaries: Path) -> bool:
    return all((binaries / component.name).exists() for component in COMPONENTS)


def _build_all(binaries: Path, cache: Path) -> None:
    go = find_go(cache)
    partial = cache / "build" / binaries.name
    for folder in (partial, binaries):
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir(parents=True)
    names = ", ".join(f"{c.name} {read_version(c)}".strip() for c in COMPONENTS)
    console.say(
        f"building {len(COMPONENTS)} components, once, some 8 minutes on two cores: {names}"
    )
    # Without debugging information, which the linker drops anyway: a fifth less work.
    command = [go, "build", "-gcflags=all=-dwarf=false", "-ldflags", _linker_flags()]
    process = subprocess.Popen(
        [*command, "-o", f"{partial}/", *(component.package for component in COMPONENTS)],
        cwd=MODULE,
        env=_go_environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that Ctrl-C reaches us first, and we end all of it
    )
    try:
        output = _wait_and_tell(process, partial)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        lines = [line for line in output.splitlines() if "downloading" not in line]
        reason = (lines or ["go build failed"])[-1]
        raise SandboxError("go build", reason, "check the network to the Go module proxy")
    partial.replace(binaries)
    console.say("components built; removing what only the build needed")
    shutil.rmtree(cache / "build", ignore_errors=True)


def _wait_and_tell(process: subprocess.Popen[str], folder: Path) -> str:
    """Return what the build prints; say how far it is, so that nobody thinks it hangs."""
    began = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=_TELL_EVERY_S)[0]
        except subprocess.TimeoutExpired:
            done = len(list(folder.iterdir()))
            spent_s = time.monotonic() - began
            console.say(f"  still building: {done} of {len(COMPONENTS)} done ({spent_s:.0f} s)")


def _linker_flags() -> str:
    """Return flags for all: small binaries, and Kubernetes' version where it looks for it."""
    version = read_version(COMPONENTS[1])
    major, minor, _ = version.removeprefix("v").split(".", 2)
    stamp = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "buildDate": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(0)),
    }
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    places = (f"{package}.{key}={value}" for package in packages for key, value in stamp.items())
    return " ".join(["-s", "-w", *(f"-X {place}" for place in places)])


def _go_environment(cache: Path) -> dict[str, str]:
    """Return the environment of ``go build``: the person's proxies, folders of our own."""
    temporary = cache / "build/tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "go/env"
    inherited = {k: v for k, v in os.environ.items() if k not in {"GOROOT", "GOFLAGS", "GOBIN"}}
    return inherited | {
        "CGO_ENABLED": "0",
        "GOENV": os.environ.get("GOENV") or str(settings),
        "XDG_CONFIG_HOME": str(cache / "build/config"),  # Go counts its own use there
        "GOTMPDIR": str(temporary),
        "GOCACHE": str(cache / "build/objects"),
        "GOMODCACHE": str(cache / "build/modules"),
        "GOFLAGS": "-mod=readonly -modcacherw -trimpath -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOGC": "300",  # the compiler spends its time on memory: it may use more
        "GOWORK": "off",
    }
