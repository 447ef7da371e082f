"""``examples/agent``: built by a real builder from npm's package, and run in a pod."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from sandbox import images
from sandbox.waiting import BASE_REFERENCE
from tests.support.agent_image import PACKAGE_FILE, codex_folder
from tests.support.builders import install_builders
from tests.support.shell import ROOT, run, run_kubectl

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Playground

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts as root"),
]
NPM = f"""\
#!/bin/sh
# Stands in for npm: the package is the real one.
[ "$*" = "pack --silent @openai/codex@0.169.0-linux-x64" ] || exit 2
cp /package/{PACKAGE_FILE} . && echo {PACKAGE_FILE}
"""
APT_GET = "#!/bin/sh\n# Stands in for apt-get: what is asked for is in the image.\n"


def push_upstream(registry: str, folder: Path) -> None:
    """Push what stands in for the images of Docker's hub: Debian's packages are in both."""
    programs = {"npm": NPM, "apt-get": APT_GET}
    for name, text in programs.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    package = (codex_folder() / PACKAGE_FILE, f"/package/{PACKAGE_FILE}")
    for name, files in {
        "node:22-bookworm-slim": [(folder / "npm", "/usr/bin/npm"), package],
        "debian:bookworm-slim": [(folder / "apt-get", "/usr/bin/apt-get")],
    }.items():
        images.push(registry, f"hub/{name}", BASE_REFERENCE, images.Recipe(files=files))


def test_the_recipe_makes_an_image_in_which_an_agent_can_work(
    playground: Playground, tmp_path: Path
) -> None:
    """The pinned Codex, git, ripgrep and Python are there, and run as an ordinary user."""
    install_builders()
    registry = playground.environment["SANDBOX_REGISTRY"]
    push_upstream(registry, tmp_path)
    project = tmp_path / "project"
    shutil.copytree(ROOT / "examples" / "agent", project / "agent")
    image = {
        "type": "build",
        "repository": f"{registry}/built-agent",
        "tag": "1",
        "context": "agent",
        "dockerfile": "agent/Dockerfile",
        "buildArgs": {"UPSTREAM": f"{registry}/hub"},
    }
    stack = {"project": "shop", "images": {"agent": image}}
    (project / "services.yaml").write_text(yaml.safe_dump(stack))
    built = run(
        "images-build", "--env", "ai", "--slot", "1", cwd=project, env=playground.environment
    )
    assert built.returncode == 0, built.stderr[-3000:]

    script = "id -u; codex --version; rg --version | head -n 1; git --version; python3 --version"
    job = playground.job("look", script)
    job["spec"]["template"]["spec"]["containers"][0]["image"] = f"{registry}/built-agent:1"
    playground.write(job)
    waited = playground.codexctl("apply-wait", "--output", "json")
    assert waited.returncode == 0, waited.stderr
    assert json.loads(waited.stdout)["exitCode"] == 0
    words = ("logs", "job/look", "--namespace", playground.namespace)
    told = run_kubectl(playground.environment, *words).splitlines()
    assert told[:2] == ["1000", "codex-cli 0.169.0"]
    assert [line.split()[0] for line in told[2:]] == ["ripgrep", "git", "Python"]
