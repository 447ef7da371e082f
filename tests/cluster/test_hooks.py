"""Hooks in real runs: with a real shell, a real cluster, real signals."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.deploys import config_map
from tests.support.processes import is_running
from tests.support.shell import BIN, SLOW_S, clean_environment, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster


@pytest.fixture
def deploy(playground: Playground) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that writes a stack with these hooks and runs a task on it."""

    def write_and_run(
        task: str, hooks: dict[str, Any], *flags: str, item: dict[str, Any] | None = None
    ) -> subprocess.CompletedProcess[str]:
        write_stack(playground, hooks, item)
        return run(
            *(task, "--env", "test", "--config", str(playground.folder / "services.yaml"), *flags),
            cwd=playground.folder,
            env=playground.environment,
        )

    return write_and_run


def write_stack(
    playground: Playground, hooks: dict[str, Any], item: dict[str, Any] | None = None
) -> None:
    """Write a stack with these hooks, of the stack and of its only service."""
    stack = {
        "project": "shop",
        "namespace": {"patterns": {"test": playground.namespace}},
        "hooks": hooks,
        "services": [{"name": "web", "manifests": [{"path": "all.yaml"}], "hooks": item or {}}],
    }
    (playground.folder / "services.yaml").write_text(yaml.safe_dump(stack, sort_keys=False))
    if not (playground.folder / "all.yaml").exists():
        playground.write(config_map("settings"))


def test_scripts_work_on_the_cluster_of_the_run(
    playground: Playground, deploy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A script finds the namespace, and its kubectl the cluster; the next step sees what it did."""
    make = f"{playground.kubectl_path} -n $CODEXCTL_NAMESPACE create configmap made"

    done = deploy(
        "apply-wait",
        {"beforeAll": [{"name": "make", "run": make}]},
        item={
            "afterApply": [
                {"use": "kubectl.wait", "with": {"kind": "ConfigMap", "name": "made"}},
                {"run": f"{playground.kubectl_path} -n $CODEXCTL_NAMESPACE get configmap settings"},
            ]
        },
    )

    assert done.returncode == 0, done.stderr
    assert "| configmap/made created" in done.stderr
    assert "beforeAll step 'make' done after" in done.stderr
    assert "HEALTHY" in done.stderr


def test_a_failed_script_names_itself_and_its_last_line(
    playground: Playground, deploy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Hook, item, exit code, last line: one line, exit code 5; nothing was applied."""
    done = deploy(
        "apply-wait",
        {"afterAll": [{"name": "tell", "always": True, "run": 'echo "it $CODEXCTL_OUTCOME"'}]},
        item={"beforeApply": [{"name": "build", "run": "echo building\necho no disk >&2\nexit 9"}]},
    )

    assert done.returncode == 5
    assert done.stderr.splitlines()[-1] == (
        "error: services.yaml:16: beforeApply step 'build' of service web: "
        "ended with exit code 9: no disk"
    )
    assert "| it failed" in done.stderr
    names = [each["metadata"]["name"] for each in playground.kubectl("get", "configmaps")["items"]]
    assert [each for each in names if not each.startswith(("kube-root-ca", "codexctl-"))] == []


def test_a_step_after_the_apply_shows_what_is_broken(
    playground: Playground, deploy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """`kubectl.wait` ends when the outcome is certain, long before its time, with the cause."""
    playground.write(playground.workload("web", image=f"{playground.image}-nosuch"))

    done = deploy(
        "apply-wait",
        {},
        item={
            "afterApply": [
                {"use": "kubectl.wait", "with": {"kind": "Deployment", "name": "web"}},
            ]
        },
    )

    assert done.returncode == 1
    assert "beforeAll" not in done.stderr
    assert "image not found" in done.stderr.splitlines()[-1]
    assert "services.yaml:12: afterApply step 'kubectl.wait' of service web: " in done.stderr


def _started(playground: Playground) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [BIN / "codexctl", "apply-wait", "--env", "test"],
        cwd=playground.folder,
        env=clean_environment(**playground.environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_the_step_and_all_it_has_started(
    playground: Playground,
    wait_for_line: Callable[[subprocess.Popen[str], str], str],
    number: signal.Signals,
) -> None:
    """Also a child in a session of its own; what must run always does, then comes the report."""
    mark = f"98765.{playground.namespace.rpartition('-')[2]}{number:d}"
    script = f"(setsid sleep {mark} &)\necho begun\nsleep {mark}"
    tell = {"name": "tell", "always": True, "run": 'echo "it was $CODEXCTL_OUTCOME"'}
    write_stack(playground, {"beforeAll": [{"run": script}], "afterAll": [tell]})
    process = _started(playground)
    wait_for_line(process, "| begun")
    assert is_running(mark)

    process.send_signal(number)
    _, told = process.communicate(timeout=SLOW_S)

    assert process.returncode == 128 + number
    assert not is_running(mark)
    assert "| it was interrupted" in told
    assert "settings was not applied" in told
    assert "created   ConfigMap" not in told


def test_a_cancelled_job_with_a_step_that_does_not_end(
    playground: Playground, wait_for_line: Callable[[subprocess.Popen[str], str], str]
) -> None:
    """GitHub sends SIGTERM after SIGINT: the step is ended, report and lease are not forgotten."""
    mark = f"98765.{playground.namespace.rpartition('-')[2]}"
    tell = {"name": "tell", "always": True, "run": f"trap '' TERM\necho telling\nsleep {mark}"}
    write_stack(playground, {"beforeAll": [{"run": "echo begun; sleep 99"}], "afterAll": [tell]})
    process = _started(playground)
    wait_for_line(process, "| begun")
    process.send_signal(signal.SIGINT)
    wait_for_line(process, "| telling")

    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=SLOW_S)

    assert process.returncode == 130
    assert "settings was not applied" in told
    assert not is_running(mark)
    leases = playground.kubectl("get", "leases")["items"]
    assert not [each for each in leases if each["spec"].get("holderIdentity")]


def test_destroy_runs_its_steps(
    playground: Playground, deploy: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """What an item needs before it goes, and what is left to do when it has gone."""
    steps = {
        "beforeDestroy": [
            {"run": f"{playground.kubectl_path} -n $CODEXCTL_NAMESPACE get configmap settings"}
        ],
        "afterDestroy": [
            {
                "use": "kubectl.wait",
                "with": {"kind": "ConfigMap", "name": "settings", "delete": "true"},
            }
        ],
    }
    assert deploy("apply", {}, item=steps).returncode == 0

    done = deploy("destroy", {}, item=steps)

    assert done.returncode == 0, done.stderr
    assert "afterDestroy step 'kubectl.wait' of service web done" in done.stderr


def test_one_hook_alone_on_the_cluster(playground: Playground) -> None:
    """`codexctl hooks run` connects as a deploy does, and says what the cluster says."""
    playground.write(config_map("settings"))
    assert playground.codexctl("apply").returncode == 0

    def wait_for(name: str) -> subprocess.CompletedProcess[str]:
        return run(
            *("hooks", "run", "kubectl.wait", "--namespace", playground.namespace),
            *("--with", "kind=ConfigMap", "--with", f"name={name}", "--with", "timeout=2s"),
            cwd=playground.folder,
            env=playground.environment,
        )

    assert wait_for("settings").returncode == 0
    missing = wait_for("nosuch")
    assert missing.returncode == 70
    assert "nosuch" in missing.stderr.splitlines()[-1]
