"""
The market's own workflow, until the market is healthy, and when one of its hooks fails.

All files of the market are as they are. Stand-ins (``tests/workflows/market``) take the place of
what others make: PostgreSQL, RabbitMQ, nginx, and the packages that its images install.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import images, prerequisites
from sandbox.images import Recipe
from sandbox.waiting import BASE_REFERENCE
from tests.support.act import Forge, Run
from tests.support.shell import ROOT, run_kubectl
from tests.support.witness import files_with

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster

MARKET = ROOT / "examples/market"
FILES = ROOT / "tests/workflows/market"
PACKAGES = "/usr/lib/python3/dist-packages"
PAGES = "/usr/share/nginx/html"
UPSTREAM = {
    "library/postgres:16.10": Recipe(
        files=[(FILES / "database.py", "/database.py"), (FILES / "is_up.py", "/bin/pg_isready")],
        entrypoint=["python3", "/database.py"],
    ),
    "library/rabbitmq:4.1": Recipe(
        files=[
            (FILES / "broker.py", "/broker.py"),
            (FILES / "is_up.py", "/bin/rabbitmq-diagnostics"),
        ],
        command=["python3", "/broker.py"],
    ),
    "library/redis:7.4": Recipe(
        files=[
            (FILES / "redis-server", "/usr/local/bin/redis-server"),
            (Path("/bin/bash"), "/bin/bash"),
        ],
    ),
    "library/python:3.12-slim": Recipe(
        files=[
            (FILES / "psycopg.py", f"{PACKAGES}/psycopg.py"),
            (FILES / "pika.py", f"{PACKAGES}/pika.py"),
            (FILES / "install-nothing", "/bin/pip"),
        ],
    ),
    "library/node:22-bookworm-slim": Recipe(
        files=[
            (FILES / "install-nothing", "/bin/apt-get"),
            (FILES / "install-nothing", "/bin/npm"),
        ],
    ),
    "nginxinc/nginx-unprivileged:1.29-alpine": Recipe(
        files=[(FILES / "health", f"{PAGES}/health")],
        command=["sh", "-c", f"trap exit TERM; httpd -f -p 8080 -h {PAGES} & wait"],
        user="101",
    ),
}
"""What the market stands on, by the names that Docker's hub has for it."""
MARK = "sentinel"
PASSWORDS = {
    "POSTGRES_PASSWORD": f'{MARK}-$1-"4711"#of@the/tables',
    "RABBITMQ_PASSWORD": f"{MARK}-of-the-queue",
}
WORKFLOW = ".github/workflows/staging.yml"
CALL = re.compile(r"    uses: org/.*?(?=\n\n  tell:)", re.DOTALL)
ENDED = """\
    runs-on: ubuntu-latest
    outputs: {state: failed, failed-workloads: Deployment market/api}
    steps: [{run: %s}]"""
"""A deploy that has ended; act starts no further job when a called workflow has failed."""
HOOKS = "  beforeAll:\n"
FAILING_HOOK = """\
    - name: ask-the-warehouse
      run: |
        echo "the stock is being counted" >&2
        exit 3
"""


class Channel(HTTPServer):
    """The webhook of a team's chat."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Message)
        self.messages: list[str] = []

    @property
    def address(self) -> str:
        """Where to post; whoever knows it may write."""
        return f"http://127.0.0.1:{self.server_port}/{MARK}-of-the-channel"


class _Message(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert isinstance(self.server, Channel)
        self.server.messages.append(body["text"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@dataclass
class Stage:
    """A cluster, its registry and a chat, as a team's runner reaches them."""

    folder: Path
    tool_cache: Path
    channel: Channel
    cluster: dict[str, str] = field(repr=False)
    namespace: str = f"market-workflow-{os.getpid()}"

    def push(self, name: str, files: dict[str, str] | None = None) -> Run:
        """Push the market with some files changed: its own workflow runs."""
        forge = Forge(self.folder / name, self.tool_cache)
        caller = forge.add_caller("team/market", MARKET, files)
        try:
            return self._run(forge, caller)
        finally:
            (forge.folder / "secret.env").unlink(missing_ok=True)  # the harness's own

    def _run(self, forge: Forge, caller: Path) -> Run:
        registry = self.cluster["SANDBOX_REGISTRY"]
        return forge.run(
            caller,
            "staging.yml",
            secrets={
                "KUBECONFIG_STAGING": Path(self.cluster["KUBECONFIG"]).read_text(),
                "TEAM_WEBHOOK": self.channel.address,
                **PASSWORDS,
            },
            variables={"MARKET_REGISTRY": f"{registry}/market"},
            env={
                "CODEXCTL_NAMESPACE": self.namespace,
                "MARKET_UPSTREAM": f"{registry}/market-upstream",
                **{name: v for name, v in self.cluster.items() if name != "KUBECONFIG"},
            },
        )

    def kubectl(self, *arguments: str) -> str:
        """Ask the cluster with an independent program."""
        return run_kubectl(self.cluster, *arguments)

    def ask(self, service: str, path: str = "") -> str:
        """Return what a service answers; the API server passes the request on."""
        place = f"/api/v1/namespaces/{self.namespace}/services/{service}:http/proxy/{path}"
        return self.kubectl("get", "--raw", place)

    def objects(self, kind: str) -> dict[str, Any]:
        """Return all objects of a kind by their names."""
        found = self.kubectl("-n", self.namespace, "get", kind, "-o", "json")
        return {each["metadata"]["name"]: each for each in json.loads(found)["items"]}


def _install_curl() -> None:
    """Install what the caller's own job uses of GitHub's runners."""
    if shutil.which("curl"):
        return
    if os.geteuid() != 0:
        pytest.skip("missing package: curl; only root can install it")
    prerequisites.install("curl")


@pytest.fixture(scope="module")
def channel() -> Iterator[Channel]:
    _install_curl()
    with Channel() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def stage(
    cluster_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    tool_cache: Path,
    channel: Channel,
) -> Iterator[Stage]:
    registry = cluster_environment["SANDBOX_REGISTRY"]
    for name, recipe in UPSTREAM.items():
        images.push(registry, f"market-upstream/{name}", BASE_REFERENCE, recipe)
    place = Stage(tmp_path_factory.mktemp("market"), tool_cache, channel, cluster_environment)
    yield place
    place.kubectl("delete", "namespace", place.namespace, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def deployed(stage: Stage) -> Run:
    return stage.push("first")


def test_a_push_brings_the_market_to_its_customers(stage: Stage, deployed: Run) -> None:
    """On the team's own runner, until page, API, worker and all they stand on are healthy."""
    assert deployed.exit_code == 0, deployed.log[-5000:]
    assert deployed.steps["Deploy and wait"] == "success"
    assert "<title>Market</title>" in stage.ask("web")
    assert json.loads(stage.ask("api", "api/offers")) == {"offers": []}
    assert stage.objects("deployments")["worker"]["status"]["readyReplicas"] == 2


def test_the_caller_is_told_how_it_ended(stage: Stage, deployed: Run) -> None:
    """Outputs for later jobs, a summary for people, names as they are; nobody is called."""
    assert deployed.outputs["result"] == "healthy"
    assert deployed.outputs["namespace"] == stage.namespace
    assert deployed.outputs["url"] == "https://staging.market.example.com"
    assert json.loads(deployed.outputs["report"])["failed"] == {}
    assert "market.staging: healthy" in deployed.summary
    assert deployed.errors == []
    assert "Write to the team's channel" not in deployed.steps


def test_hooks_run_as_the_stack_says(deployed: Run) -> None:
    """That of staging waits for the database; those of slots and of laptops do not run."""
    log = "\n".join(deployed.lines)
    assert "step 'postgres-ready' of infrastructure postgres done" in log
    assert not [name for name in ("data-directories", "host-ports", "agent-secrets") if name in log]


def test_what_runs_is_what_was_pushed(stage: Stage, deployed: Run) -> None:
    """The commit is the version; pods have the digests of the images made for it."""
    digests = json.loads(deployed.outputs["digests"])
    for name, workload in stage.objects("deployments").items():
        [container] = workload["spec"]["template"]["spec"]["containers"]
        assert container["image"].endswith(f"@{digests[name]}")
    [job] = stage.objects("jobs").values()
    assert len(job["metadata"]["labels"]["app.kubernetes.io/version"]) == 12


def test_passwords_are_nowhere_but_where_they_belong(stage: Stage, deployed: Run) -> None:
    """Not in log, summary, outputs and files; in the cluster in the Secret, as they were given."""
    told = [line for line in deployed.log.splitlines() if "add-mask" not in line]
    assert MARK not in "\n".join(told)
    assert files_with({"a secret": MARK}, [stage.folder], since_s=0) == []
    for kind in ("configmaps", "deployments", "statefulsets", "jobs", "pods", "events"):
        assert MARK not in json.dumps(stage.objects(kind))
    data = stage.objects("secrets")["market"]["data"]
    assert base64.b64decode(data["POSTGRES_PASSWORD"]).decode() == PASSWORDS["POSTGRES_PASSWORD"]
    assert (
        base64.b64decode(data["RABBITMQ_DEFAULT_PASS"]).decode() == PASSWORDS["RABBITMQ_PASSWORD"]
    )


def test_a_hook_that_fails_is_named(stage: Stage, deployed: Run) -> None:
    """Where it stands and what it said; nothing is applied, so what runs runs on."""
    assert deployed.exit_code == 0
    services = (MARKET / "services.yaml").read_text()
    assert HOOKS in services
    run = stage.push("second", {"services.yaml": services.replace(HOOKS, HOOKS + FAILING_HOOK)})
    assert run.exit_code == 1
    assert run.outputs["result"] == "stopped"
    [(text, place)] = run.errors
    assert "ask-the-warehouse" in text
    assert "the stock is being counted" in text
    assert place["file"] == "services.yaml"
    assert "ask-the-warehouse" in run.summary
    assert len(stage.objects("jobs")) == 1


@pytest.mark.parametrize(
    ("step", "messages"),
    [
        ("exit 1", ["Staging is failed. Deployment market/api https://github.com/team/market/"]),
        ("exit 0", []),
    ],
    ids=["failed", "healthy"],
)
def test_the_team_is_told(forge: Forge, channel: Channel, step: str, messages: list[str]) -> None:
    """If the deploy has failed, the next job writes to the team's chat, with a way to the run."""
    text, count = CALL.subn(ENDED % step, (MARKET / WORKFLOW).read_text())
    assert count == 1
    caller = forge.add_caller("team/market", MARKET, {WORKFLOW: text})
    channel.messages.clear()
    run = forge.run(caller, "staging.yml", secrets={"TEAM_WEBHOOK": channel.address})
    assert run.exit_code == int(step == "exit 1"), run.log
    assert [message.partition("actions/")[0] for message in channel.messages] == messages
    assert MARK not in run.log
