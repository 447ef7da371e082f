"""A pytest plugin: one cluster for the whole run, stopped at the end if the run started it."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys

import pytest

from tests.support.shell import ROOT, clean_environment

_RUNNING_BEFORE = pytest.StashKey[bool]()


def sandbox(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the sandbox of this checkout."""
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=ROOT,
        env=clean_environment(KUBECONFIG=os.environ.get("KUBECONFIG", "")),
        capture_output=True,
        text=True,
        check=False,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Remember whether somebody is using the sandbox already; make Ctrl-C mean something."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # `make test &` in a script
        # All programs under test would inherit it, and those that are interrupted go on.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        config.stash[_RUNNING_BEFORE] = sandbox("status").returncode == 0


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the machine as it was found."""
    if not config.stash.get(_RUNNING_BEFORE, True) and os.environ.get("SANDBOX") != "off":
        sandbox("down")


@pytest.fixture(scope="session")
def cluster_environment() -> dict[str, str]:
    """Give the variables that lead to the cluster: KUBECONFIG, SANDBOX_REGISTRY and others."""
    up = sandbox("up")
    assert up.returncode == 0, f"the sandbox did not start:\n{up.stdout}{up.stderr}"
    if os.environ.get("SANDBOX") == "off":  # somebody's own cluster has no base image yet
        pushed = sandbox("push", "codexctl-tests:1", "--", "true")
        assert pushed.returncode == 0, pushed.stderr
    lines = sandbox("env").stdout.splitlines()
    pairs = (shlex.split(line.removeprefix("export "))[0].partition("=") for line in lines)
    return {name: value for name, _, value in pairs}
