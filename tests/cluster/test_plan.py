"""Plans of a real cluster: nothing is changed, and no secret is shown."""

from __future__ import annotations

import base64
import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.deploys import (
    applied_by_kubectl,
    changes,
    config_map,
    kubectl,
    requests,
    secret,
)
from tests.support.faults import Faults
from tests.support.shell import BIN, SLOW_S, clean_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

NAMED = ("--stack", "shop")
MANY = 500


def _changed_in_every_way(playground: Playground) -> None:
    """Leave a stack of which one object each is created, changed, adopted, replaced, pruned."""
    job = playground.job("migrate", "true")
    job["spec"]["suspend"] = True
    playground.write(config_map("same"), config_map("changed"), job, config_map("left"))
    first = playground.codexctl("apply", *NAMED)
    assert first.returncode == 0, first.stderr
    playground.write(config_map("adopted"))
    applied_by_kubectl(playground, "apply")
    job["spec"]["template"]["spec"]["containers"][0]["command"] = ["true"]
    playground.write(
        config_map("same"),
        config_map("changed", {"mode": "slow"}),
        config_map("adopted"),
        config_map("new"),
        job,
    )


def _ask(playground: Playground, *flags: str, **env: str) -> subprocess.CompletedProcess[str]:
    return playground.codexctl("plan", *NAMED, *flags, **env)


def test_a_plan_changes_nothing(playground: Playground, tmp_path: Path) -> None:
    """Every kind of change is told, nothing is written: no object, no lease, no inventory."""
    _changed_in_every_way(playground)
    before = playground.kubectl("get", "configmaps,jobs,leases")["items"]

    with Faults(playground.environment["KUBECONFIG"]) as faults:
        file = str(faults.kubeconfig(tmp_path / "faults.conf"))
        result = _ask(playground, "--detailed-exitcode", KUBECONFIG=file)

    assert result.returncode == 2, result.stderr
    heads = {" ".join(line.split()[:4]) for line in result.stdout.splitlines() if line[0] in "+~-"}
    assert heads == {
        f"~ change ConfigMap {playground.namespace}/changed",
        f"~ adopt ConfigMap {playground.namespace}/adopted",
        f"+ create ConfigMap {playground.namespace}/new",
        f"~ replace Job {playground.namespace}/migrate",
        f"- prune ConfigMap {playground.namespace}/left",
    }
    totals = "1 to create, 1 to change, 1 to adopt, 1 to replace, 1 to prune, 1 unchanged"
    assert result.stdout.splitlines()[-1] == totals
    assert "    ~ data.mode: fast → slow" in result.stdout.splitlines()
    assert changes(faults) == []
    assert faults.count(path="/leases") == 0
    after = playground.kubectl("get", "configmaps,jobs,leases")["items"]
    assert [each["metadata"]["resourceVersion"] for each in after] == [
        each["metadata"]["resourceVersion"] for each in before
    ]


def test_the_exit_code_of_a_plan_is_2_only_on_request(playground: Playground) -> None:
    """Something to do: 0, with --detailed-exitcode 2; nothing to do: 0."""
    playground.write(config_map("settings"))
    assert _ask(playground).returncode == 0
    assert _ask(playground, "--detailed-exitcode").returncode == 2
    assert playground.codexctl("apply", *NAMED).returncode == 0

    same = _ask(playground, "--detailed-exitcode")

    assert (same.returncode, same.stdout, same.stderr) == (0, "1 unchanged\n", "")


def test_a_plan_asks_for_every_new_object(playground: Playground, tmp_path: Path) -> None:
    """So it finds what is wrong with the value of one of many, which a shape does not tell."""
    kubectl(playground, "create", "namespace", playground.namespace)
    maps = [config_map(f"m{number}") for number in range(MANY - 1)]
    playground.write(*maps, config_map("m", labels={"team": "no label!"}))

    with Faults(playground.environment["KUBECONFIG"]) as faults:
        file = str(faults.kubeconfig(tmp_path / "faults.conf"))
        result = _ask(playground, KUBECONFIG=file)

    assert result.returncode == 4
    assert f"ConfigMap {playground.namespace}/m: metadata.labels: Invalid value" in result.stderr
    assert result.stdout.splitlines()[-1] == f"{MANY} to create"
    assert faults.count("PATCH") == MANY
    assert len(requests(faults)) < MANY + 20
    assert changes(faults) == []


def test_values_of_secrets_never_show(playground: Playground) -> None:
    """Neither old nor new, as text or base64, nor in what kubectl has written down of them."""
    old, new, key = "old-swordfish", "new-hammerhead", "key-of-the-treasury"
    playground.write({**secret("db", password=old, user="u-0001"), "type": "Opaque"})
    kubectl(playground, "create", "namespace", playground.namespace)
    applied_by_kubectl(playground, "apply")
    encoded = base64.b64encode(key.encode()).decode()
    db = {**secret("db", password=new), "data": {"key": encoded}}
    playground.write(db, secret("fresh", token=new))

    as_json = ("--output", "json")
    seen = [_ask(playground), _ask(playground, *as_json)]
    seen += [playground.codexctl("apply", *NAMED, *flags) for flags in (as_json, ())]
    playground.write({**db, "stringData": {"password": 12345678}})
    seen += [_ask(playground), _ask(playground, *as_json)]

    assert [result.returncode for result in seen] == [0, 0, 0, 0, 4, 4]
    text = "".join(result.stdout + result.stderr for result in seen)
    for value in (old, new, key):
        assert value not in text
        assert base64.b64encode(value.encode()).decode() not in text
    assert "12345678" not in text
    assert "~ data.password: *** → *** (changed)" in seen[0].stdout
    assert "(what an earlier tool applied and this manifest does not have is removed)" in text
    found = playground.kubectl("get", "secret", "db")["data"]
    assert {name: base64.b64decode(value).decode() for name, value in found.items()} == {
        "key": key,
        "password": new,
    }


def _on_a_terminal(playground: Playground, columns: int, **env: str) -> str:
    """Return what a plan writes to a terminal of this width."""
    ours, theirs = pty.openpty()
    arguments = ("--manifests", str(playground.folder), "--namespace", playground.namespace)
    process = subprocess.Popen(
        [BIN / "codexctl", "plan", *arguments],
        cwd=playground.folder,
        env=clean_environment(**playground.environment, COLUMNS=str(columns), TERM="xterm", **env),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    try:
        while piece := os.read(ours, 65536):
            text += piece
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert process.wait(SLOW_S) == 0
    return text.decode().replace("\r\n", "\n")


def test_a_narrow_terminal_and_no_colour(playground: Playground) -> None:
    """Lines stay whole however narrow it is; colours only where they are welcome."""
    playground.write(config_map("settings", {"mode": "fast"}))

    plain = playground.codexctl("plan")
    coloured = _on_a_terminal(playground, 20)
    colourless = _on_a_terminal(playground, 20, NO_COLOR="1")

    assert plain.returncode == 0, plain.stderr
    assert "\033" not in plain.stdout + plain.stderr
    assert colourless == plain.stdout
    assert "\033[32m" in coloured
    uncoloured = coloured.replace("\033[32m", "").replace("\033[0m", "")
    assert uncoloured == plain.stdout
