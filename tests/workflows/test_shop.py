"""The main scenario: a push to the shop's repository, until its page answers in the cluster."""

from __future__ import annotations

import base64
import json
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.witness import Witness, files_with, secrets_in
from tests.workflows.shop import MARK, PASSWORD, SOURCE, Shop

if TYPE_CHECKING:
    from tests.support.act import Run

pytestmark = pytest.mark.cluster

SENTINELS = {
    "database": PASSWORD,
    "two lines": f"{MARK}-begins-here\n{MARK}-ends-here",
    "kubeconfig": f"{MARK}-of-the-kubeconfig",
    "registry": f"{MARK}-of-the-registry",
    "token": f"{MARK}-of-github",
}
PROGRAMS = {
    "doctor": "codexctl ci doctor",
    "images": "codexctl ci images",
    "deploy": "codexctl ci deploy",
    "hook": r"bash .*/dev/fd/\d|^env$|^sleep 3$",
    "step": r"bash .*/workflow/",  # until it has become the command
    "checkout": r"^(/bin/sh -c )?(/\S+/)?git[ -]",  # and what git starts to fetch
    "builder": "buildah|docker |buildctl",
    "pod": r"/app/\w+\.py|redis",
}
MAY_KNOW = {
    "doctor": {"database", "two lines", "kubeconfig", "registry"},
    "images": {"database", "two lines", "registry"},
    "deploy": set(SENTINELS),
    "step": set(SENTINELS),
    "hook": {"database", "two lines", "token"},  # what scripts are told: docs/stack.md
    "checkout": {"token"},
    "pod": {"database"},
}
"""What may be in the environment of each program; of all others nothing."""
TEMPORARY = (Path(tempfile.gettempdir()), Path("/var/tmp"))  # noqa: S108 - only looked at
CURIOUS = {
    # It stays long enough for the witness to meet it, however busy the machine is.
    "services.yaml": "hooks: {afterAll: [{run: env && sleep 3}]}\n",
    # An image is built only if there is none of the same content.
    "web/Dockerfile": f"RUN echo {uuid.uuid4()} && env && cat /proc/self/environ\n",
}
"""What is put behind the files of the example: people look at their environment in logs."""


@dataclass(frozen=True)
class Watched:
    """A push that was looked at from all sides."""

    run: Run
    witness: Witness
    since_s: float


def test_a_dry_run_changes_nothing(shop: Shop) -> None:
    """Whoever starts the workflow by hand sees the plan first, also in the summary."""
    run = shop.push(event="workflow_dispatch", payload={"inputs": {"dry-run": "true"}})
    assert run.exit_code == 0, run.tail
    assert run.outputs["result"] == "planned"
    assert any("create   Deployment" in line for line in run.lines)
    assert "shop.staging: planned" in run.summary.replace("&#46;", ".")
    assert f"+ create   Deployment {shop.namespace}/web" in run.summary
    assert shop.namespace not in shop.kubectl("get", "namespaces", "-o", "name")


def test_a_push_brings_the_shop_to_its_customers(shop: Shop, deployed: Run) -> None:
    """One `uses:` line mirrors, builds, deploys and waits; then the page shows the products."""
    assert "Mountain cheese" in shop.page()
    assert deployed.outputs["result"] == "healthy"
    assert deployed.outputs["namespace"] == shop.namespace
    assert deployed.outputs["url"] == "http://staging.shop.example.com"
    assert json.loads(deployed.outputs["report"])["failed"] == {}
    assert "healthy" in deployed.summary
    assert shop.lease_holder() == ""


def test_what_runs_is_what_was_built(shop: Shop, deployed: Run) -> None:
    """Pods have the digests that the step before has pinned."""
    digests = json.loads(deployed.outputs["digests"])
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    image = shop.kubectl("-n", shop.namespace, "get", "deployment/web", "-o", path)
    assert image.endswith(f"@{digests['web']}")


@pytest.fixture(scope="module")
def watched(shop: Shop, deployed: Run) -> Watched:
    """Push with a sentinel in every secret; GitHub's own masks are off."""
    assert deployed.exit_code == 0
    caller = (SOURCE / ".github/workflows/staging.yml").read_text()
    more = '"TWO_LINES": ${{ toJSON(secrets.TWO_LINES) }}, "SHOP'
    token = "      CODEXCTL_GH_PAT: ${{ secrets.CODEXCTL_GH_PAT }}\n"
    kubeconfig = yaml.safe_load(shop.kubeconfig)
    kubeconfig["users"].append({"name": "spare", "user": {"token": SENTINELS["kubeconfig"]}})
    login = base64.b64encode(f"ci:{SENTINELS['registry']}".encode()).decode()
    files = {path: (SOURCE / path).read_text() + text for path, text in CURIOUS.items()}
    since_s = time.time()
    with Witness(SENTINELS, PROGRAMS) as witness:
        run = shop.push(
            {**files, ".github/workflows/staging.yml": caller.replace('"SHOP', more) + token},
            secrets={
                "TWO_LINES": SENTINELS["two lines"],
                "KUBECONFIG": yaml.safe_dump(kubeconfig),
                "REGISTRY_AUTH": json.dumps({"auths": {shop.registry: {"auth": login}}}),
                "CODEXCTL_GH_PAT": SENTINELS["token"],
            },
            shows_secrets=True,
            env={"CHECKOUT_STAYS": "yes"},
        )
    assert run.exit_code == 0, run.tail
    return Watched(run, witness, since_s)


def _told(run: Run) -> list[dict[str, Any]]:
    """Return what people and later jobs can read; a command that masks is swallowed by GitHub."""
    return [
        r for r in run.records if r.get("command") != "add-mask" and "::add-mask::" not in r["msg"]
    ]


def test_a_secret_is_in_nothing_that_people_read(watched: Watched) -> None:
    """Not in the log, though hook and build print their environment; nor in what jobs hand on."""
    run = watched.run
    assert sum("SHOP_DB_PASSWORD=***" in line for line in run.lines) == 1
    assert any("CODEXCTL_GH_PAT=***" in line for line in run.lines)
    for record in _told(run):
        assert not secrets_in(json.dumps(record).encode(), SENTINELS), record


def test_a_secret_is_left_in_no_file(shop: Shop, watched: Watched) -> None:
    """Neither in the workspace nor in temporary files or what builders keep."""
    logs = [path.read_text() for path in (shop.folder / "logs").rglob("web*.log")]
    assert any("/proc/self/environ" in log for log in logs)  # the build has printed all it knows
    kept = [place for temporary in TEMPORARY for place in temporary.glob("codexctl*")]
    fresh = [p for t in TEMPORARY for p in t.iterdir() if p.lstat().st_mtime >= watched.since_s]
    assert files_with(SENTINELS, (shop.folder, *kept, *fresh), watched.since_s) == []


def test_a_secret_reaches_only_who_needs_it(watched: Watched) -> None:
    """No command line has one, and a program only what it is meant to have."""
    assert set(PROGRAMS) - {"step"} <= watched.witness.seen
    assert dict(watched.witness.in_arguments) == {}
    known = watched.witness.in_environment
    assert not {name: more for name in known if (more := known[name] - MAY_KNOW.get(name, set()))}
    assert known["deploy"] == MAY_KNOW["deploy"]


def test_the_cluster_has_secrets_in_secrets_alone(shop: Shop, watched: Watched) -> None:
    """The one that pods need is in its Secret, and no object else has any."""
    assert watched.run.exit_code == 0
    assert not secrets_in(shop.objects().encode(), SENTINELS)
    stored = shop.kubectl("-n", shop.namespace, "get", "secrets", "-o", "json")
    assert secrets_in(stored.encode(), SENTINELS) == {"database"}
