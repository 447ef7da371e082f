"""Starts, repairs and ends the sandbox of one checkout."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox import addresses as numbering
from sandbox import cgroups, components, configuration, console, keys, processes, rootfs, waiting
from sandbox.configuration import Plan, load_plan, plan_control_plane
from sandbox.errors import SandboxError
from sandbox.places import SOURCE, Places, exclusive

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.addresses import Addresses

_READY_WITHIN_S = 120.0
_REPAIRED_WITHIN_S = 30.0  # far longer than the longest pause before a restart
_GONE_WITHIN_S = 10.0
_UNUSED_WITHIN_S = 3.0


@dataclass(frozen=True)
class _Sandbox:
    """
    A sandbox about to run.

    Attributes:
        places: its folders.
        addresses: its addresses and names.
        plan: what it runs.
        binaries: folder of the built programs.
        base: tar file of the base image; None for a control plane only.

    """

    places: Places
    addresses: Addresses
    plan: Plan
    binaries: Path
    base: Path | None


def up(places: Places, release: dict[str, str], *, control_plane: bool, fresh: bool) -> None:
    """Start what is not running, repair what is broken, return when all is ready."""
    binaries = components.build(places)
    with _only_one(places):
        if fresh:
            _end(places)
            _wipe(places)
        control_plane = control_plane and not _is_full_node(_find_running_plan(places))
        base = None if control_plane else rootfs.build_base(places, release)
        with exclusive(places.cache / "addresses.lock", "choosing addresses"):
            sandbox = _prepare(places, binaries, base)
            try:
                started = _start_or_adapt(sandbox)
            except KeyboardInterrupt:
                _end(places)  # the node, if any, ends by itself: it was not told to go on
                raise
        if not (started or _is_repaired(sandbox)):
            console.say("starting it anew")
            started = True
            _start(sandbox)
        if started:
            _wait_for_start(sandbox)


def down(places: Places, *, wipe: bool) -> None:
    """End the sandbox and everything it started; keep its state unless told otherwise."""
    with _only_one(places):
        ended = _end(places)
        if wipe:
            _wipe(places)
    console.say("sandbox ended" if ended else "sandbox was not running")


def _only_one(places: Places) -> contextlib.AbstractContextManager[None]:
    lock = places.states / f"{places.name}.lock"
    return exclusive(lock, "starting or ending this sandbox")


def _wipe(places: Places) -> None:
    shutil.rmtree(places.state, ignore_errors=True)


def _find_running_plan(places: Places) -> Plan | None:
    """Return what the running node runs; None when no node runs."""
    if not processes.is_running(places.state / "top.json"):
        return None
    return load_plan(places.state / "plan.json")


def _is_full_node(plan: Plan | None) -> bool:
    return plan is not None and len(plan.programs) > len(
        plan_control_plane(numbering.Addresses(plan.number))
    )


# ---- preparing -------------------------------------------------------------------------------


def _prepare(places: Places, binaries: Path, base: Path | None) -> _Sandbox:
    """Choose addresses and write keys and configuration."""
    if not _find_running_plan(places):
        _end(places)  # removes what a killed sandbox left behind
    addresses = _choose_addresses(places)
    places.logs.mkdir(parents=True, exist_ok=True)
    keys.make(places.state / "pki", addresses)
    keys.write_kubeconfigs(places.state / "pki", addresses, places.admin_conf)
    configuration.write_files(places.state / "config", addresses)
    made_of = [binaries.name, keys.read_fingerprint(places.state / "pki")]
    plan = configuration.make_plan(addresses, made_of, control_plane=base is None)
    return _Sandbox(places, addresses, plan, binaries, base)


def _choose_addresses(places: Places) -> Addresses:
    """Keep the recorded addresses; choose others when somebody else uses them now."""
    recorded = numbering.recorded(places.state)
    if recorded and (_find_running_plan(places) or numbering.is_free(recorded)):
        return recorded
    others = numbering.recorded_by_others(places.state)
    chosen = numbering.choose(
        places.checkout, lambda a: a.number not in others and numbering.is_free(a)
    )
    if recorded:  # services in the old state have addresses of the old range
        console.say(f"{recorded.cable} or port {recorded.registry_port} is taken: starting afresh")
        _wipe(places)
    places.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    numbering.record(places.state, chosen)
    return chosen


# ---- starting --------------------------------------------------------------------------------


def _start_or_adapt(sandbox: _Sandbox) -> bool:
    """Make the plan run; tell whether that took a new node."""
    running = _find_running_plan(sandbox.places)
    if running and running.digest == sandbox.plan.digest:
        if _is_full_node(sandbox.plan) and not _is_full_node(running):
            console.say("the control plane is running: adding the node")
            sandbox.plan.save(sandbox.places.state / "plan.json")
            _tell_to_read_plan(sandbox.places)
        else:
            console.say("the sandbox is running: checking it")
        return False
    if running:
        console.say("the running sandbox is configured differently: starting it anew")
    _start(sandbox)
    return True


def _start(sandbox: _Sandbox) -> None:
    """Start the node: one process, with everything else below it."""
    places = sandbox.places
    _end(places)
    for old in places.logs.glob("*.log"):
        old.replace(old.with_suffix(".log.1"))
    sandbox.plan.save(places.state / "plan.json")
    cgroups.make(sandbox.addresses.cgroup)
    shutil.rmtree(places.state / "node/lib/cni", ignore_errors=True)  # no pod has survived
    console.say(f"starting {len(sandbox.plan.programs)} components on {sandbox.addresses.node}")
    with (places.logs / "node.log").open("ab") as log:
        top = subprocess.Popen(
            [
                *("unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
                *("--mount-proc", "--propagation", "private"),
                *(sys.executable, "-m", "sandbox.node"),
                *(str(places.state), str(sandbox.binaries)),
            ],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=SOURCE.parent,
            start_new_session=True,
        )
    identity = processes.identify(top.pid)
    if identity and top.stdin:
        processes.save(identity, places.state / "top.json")
        with contextlib.suppress(BrokenPipeError):  # it ended already: seen when waiting
            top.stdin.write(b"go\n")
            top.stdin.close()


def _tell_to_read_plan(places: Places) -> None:
    top = processes.load(places.state / "top.json")
    for pid in processes.list_children(top.pid) if top else []:
        if init := processes.identify(pid):
            init.send(signal.SIGHUP)


# ---- ending ----------------------------------------------------------------------------------


def _end(places: Places) -> bool:
    """End the node and remove what is left of it; tell whether one was running."""
    record = places.state / "top.json"
    top = processes.load(record)
    addresses = numbering.recorded(places.state)
    if addresses is None:
        return False
    if top is None:  # never started, or cut short before it was recorded
        if not numbering.is_in_use(addresses):
            cgroups.remove(addresses.cgroup)
        return False
    running = top.is_alive()
    if running:
        inits = processes.list_children(top.pid)
        inside = [pid for init in inits for pid in processes.list_inside(init).values()]
        top.send(signal.SIGKILL)  # takes process 1 of the node along, the kernel takes the rest
        if not processes.wait_until_gone([top.pid, *inits, *inside], _GONE_WITHIN_S):
            raise SandboxError(f"process {top.pid}", "does not end", f"cat /proc/{top.pid}/stack")
    if _wait_until_unused(addresses) and not cgroups.remove(addresses.cgroup):
        raise SandboxError(addresses.cgroup, "is a cgroup in use", "end the processes in it")
    (places.state / "running.json").unlink(missing_ok=True)
    record.unlink()
    return running


def _wait_until_unused(addresses: Addresses) -> bool:
    """
    Wait for the kernel, which takes the link down a moment after the node's last process.

    False means that somebody else uses the addresses by now: not ours to remove.
    """
    deadline = time.monotonic() + _UNUSED_WITHIN_S
    while numbering.is_in_use(addresses):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


# ---- waiting ---------------------------------------------------------------------------------


def _is_repaired(sandbox: _Sandbox) -> bool:
    """Give a running sandbox the time to mend itself; tell whether it is ready."""
    try:
        _wait_until_ready(sandbox, _REPAIRED_WITHIN_S)
    except SandboxError as error:
        console.say(str(error))
        return False
    return True


def _wait_for_start(sandbox: _Sandbox) -> None:
    """Wait until ready; end what was started when that fails or is interrupted."""
    try:
        _wait_until_ready(sandbox, _READY_WITHIN_S)
    except BaseException:
        _end(sandbox.places)
        raise


def _wait_until_ready(sandbox: _Sandbox, timeout_s: float) -> None:
    own_images = (sandbox.binaries / "pause", sandbox.base) if sandbox.base else None
    waiting.wait_until_ready(sandbox.places, sandbox.addresses, own_images, timeout_s)
