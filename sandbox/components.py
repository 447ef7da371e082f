"""
The components that are built: what they are, their versions, and the build.

Versions are pinned in ``components/*/go.mod`` (with ``go.sum``); this module
reads them from there. Binaries are kept in the cache below a key made of all
versions, so they are built once per machine and version.
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

MODULES = SOURCE / "components"


@dataclass(frozen=True)
class Component:
    """
    One program built from Go source.

    Attributes:
        name: name of the binary.
        module: folder below ``components/`` whose ``go.mod`` pins it.
        package: Go package of its ``main``.
        versioned_by: Go module whose version is the component's; empty for our own.

    """

    name: str
    module: str
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
    Component("etcd", "kubernetes", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
    *(
        Component(name, "kubernetes", f"k8s.io/kubernetes/cmd/{name}", "k8s.io/kubernetes")
        for name in _KUBERNETES
    ),
    Component("coredns", "coredns", "github.com/coredns/coredns", "github.com/coredns/coredns"),
    Component("pause", "pause", ".", ""),
]


def read_version(component: Component) -> str:
    """Return the pinned version, such as ``v1.34.4``."""
    if not component.versioned_by:
        return ""
    pinned = (MODULES / component.module / "go.mod").read_text()
    found = re.search(
        rf"^\s*(?:require )?{re.escape(component.versioned_by)} (v\S+)", pinned, re.MULTILINE
    )
    if not found:
        raise SandboxError(f"{component.module}/go.mod", f"does not pin {component.name}", "add it")
    return found[1]


def find_binaries(places: Places) -> Path:
    """Return the folder of the built binaries, whether they are there or not."""
    pins = hashlib.sha256()
    for file in sorted([*MODULES.glob("*/go.*"), *MODULES.glob("*/main.go")]):
        pins.update(file.read_bytes())
    version = read_version(COMPONENTS[1])
    key = f"kubernetes-{version}-{platform.machine()}-{pins.hexdigest()[:12]}"
    return places.cache / key


def build(places: Places) -> Path:
    """
    Build what is missing and return the folder of the binaries.

    A build that was cut short goes on where it stopped: each binary appears
    under its name only when it is complete.
    """
    binaries = find_binaries(places)
    if not _list_missing(binaries):
        return binaries
    with exclusive(places.cache / "build.lock", "building the components"):
        missing = _list_missing(binaries)
        if missing:
            _build_missing(missing, binaries, places.cache)
    return binaries


def _list_missing(binaries: Path) -> list[Component]:
    return [component for component in COMPONENTS if not (binaries / component.name).exists()]


def _build_missing(missing: list[Component], binaries: Path, cache: Path) -> None:
    go = find_go(cache)
    binaries.mkdir(parents=True, exist_ok=True)
    for cut_short in binaries.glob(".*.partial"):
        cut_short.unlink()
    console.say(f"building {len(missing)} components, once: 5 to 15 minutes on two cores")
    environment = _go_environment(cache)
    for position, component in enumerate(missing, start=1):
        named = f"{component.name} {read_version(component)}".strip()
        step = f"building {named} ({position}/{len(missing)})"
        console.say(step)
        with console.heartbeat(step):
            _build_one(component, go, binaries, environment)
    console.say("components built; removing what only the build needed")
    shutil.rmtree(cache / "build", ignore_errors=True)


def _build_one(component: Component, go: str, binaries: Path, environment: dict[str, str]) -> None:
    partial = binaries / f".{component.name}.{os.getpid()}.partial"
    command = [go, "build", "-o", str(partial), "-ldflags", _linker_flags(component)]
    process = subprocess.Popen(
        [*command, component.package],
        cwd=MODULES / component.module,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that Ctrl-C reaches us first, and we end all of it
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if process.returncode:
        lines = [line for line in output.splitlines() if "downloading" not in line]
        reason = (lines or ["go build failed"])[-1]
        raise SandboxError(component.name, reason, "check the network to the Go module proxy")
    partial.replace(binaries / component.name)


def _linker_flags(component: Component) -> str:
    flags = "-s -w"
    if component.versioned_by == "k8s.io/kubernetes":
        version = read_version(component)
        major, minor, _ = version.removeprefix("v").split(".", 2)
        stamp = {
            "gitVersion": version,
            "gitMajor": major,
            "gitMinor": minor,
            "gitTreeState": "clean",
            "buildDate": time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(0)),
        }
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"):
            flags += "".join(f" -X {package}.{key}={value}" for key, value in stamp.items())
    return flags


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
        "GOWORK": "off",
    }
