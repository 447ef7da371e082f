"""The demo, played once from beginning to end against a real Kubernetes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from demo_tools import Cluster

DEMO = Path(__file__).resolve().parents[2] / "examples" / "demo.py"
NAMESPACE = "shop-demo-test"
LONGEST_S = 1500
"""With building the sandbox on a slow machine."""

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def played() -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, str(DEMO)],
        env={**os.environ, "DEMO_NAMESPACE": NAMESPACE},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    if configuration := re.search(r"^export KUBECONFIG=(\S+)", _sandbox_env(), re.MULTILINE):
        cluster = Cluster({**os.environ, "KUBECONFIG": configuration[1]})
        for namespace in (NAMESPACE, f"{NAMESPACE}-broken"):
            cluster.delete_namespace(namespace)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr
    return done


def test_the_demo_ends_well(played: subprocess.CompletedProcess[str]) -> None:
    """A newcomer who types ``make demo`` sees all eight steps go as told."""
    steps = re.findall(r"^(\d)/8 ", played.stdout, re.MULTILINE)
    assert steps == list("12345678")


def test_images_are_mirrored_and_built_once(played: subprocess.CompletedProcess[str]) -> None:
    """The second look builds nothing; a new version builds the one image that it changes."""
    tables = re.findall(r"IMAGES  (.*)$", played.stdout, re.MULTILINE)
    assert len(tables) == 3
    assert tables[1] == "5 unchanged"
    assert re.search(r"\b[14] unchanged", tables[2]) or tables[2] == "5 unchanged"


def test_what_was_built_is_deployed_by_its_digest(
    played: subprocess.CompletedProcess[str],
) -> None:
    """The commands hand the pins over."""
    assert "--pins pins.json" in played.stdout
    pins = json.loads((DEMO.parent / "shop" / "pins.json").read_text())["images"]
    assert {name.rpartition("/")[2] for name in pins} >= {"web:2.0", "api:1.0", "redis:7"}


def test_the_shop_is_deployed_and_updated(played: subprocess.CompletedProcess[str]) -> None:
    """The page shows the products, and each deploy the version it is of."""
    pages = re.findall(r"web (\S+), api 1\.0", played.stdout)
    assert pages == ["1.0", "2.0", "2.0", "2.0"]
    assert played.stdout.count("Mountain cheese 5.90 EUR") == 4


def test_data_survive_deploys(played: subprocess.CompletedProcess[str]) -> None:
    """The counter of visits goes on from deploy to deploy."""
    counts = [int(n) for n in re.findall(r"This page was seen (\d+) times", played.stdout)]
    assert len(counts) >= 3
    assert counts == sorted(set(counts))


def test_the_broken_version_is_named(played: subprocess.CompletedProcess[str]) -> None:
    """A deploy of a version that does not exist ends with the cause, in words."""
    assert re.search(r"cause .*shop/web:2\.1-typo: image not found", played.stdout)
    assert "exit code 1 after" in played.stdout


def test_three_mistakes_are_explained_in_one_run(played: subprocess.CompletedProcess[str]) -> None:
    """Each with its cause, its hint and the line of its manifest."""
    report = played.stdout.partition("Three mistakes at once")[2]
    for name in ("search", "payment", "mailer"):
        assert re.search(rf"Deployment \S+/{name}  FAILED  ", report)
        assert re.search(rf"manifest  deploy/{name}\.yaml:\d", report)
    assert "| mailer: cannot connect to smtp:25" in report


def test_the_commands_can_be_typed(played: subprocess.CompletedProcess[str]) -> None:
    """Every deploy is shown as a command line that works when it is copied."""
    unfolded = re.sub(r" \\\n +", " ", played.stdout)
    shown = re.findall(r"^\$ (codexctl apply-wait .*)$", unfolded, re.MULTILINE)
    commands = [command for command in shown if "--env staging" in command]
    start = f"codexctl apply-wait --env staging --pins pins.json --namespace {NAMESPACE}"
    versions = ["", " --vars WEB_VERSION=2.0", " --vars WEB_VERSION=2.1-typo"]
    assert commands == [start + version for version in (*versions, versions[1])]


def test_no_password_is_shown(played: subprocess.CompletedProcess[str]) -> None:
    """The password of Redis appears nowhere."""
    assert "only-for-staging" not in played.stdout + played.stderr


def _sandbox_env() -> str:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", "env"],
        cwd=DEMO.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
