"""`codex.ensure-codex-secrets` on a real API server."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import threading
import traceback
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ClusterError, CodexctlError
from codexctl_tasks.hooks.builtin.codex_secrets import LARGEST, ensure_codex_secrets
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.kubernetes import connect
from codexctl_tasks.world.outside import real_outside
from tests.support.accounts import kubeconfig_with_rights
from tests.support.deploys import kubectl
from tests.support.hooks import HookBench
from tests.support.shell import QUICK_S, clean_environment

if TYPE_CHECKING:
    from codexctl_tasks.world.cluster import Cluster
    from tests.cluster.conftest import Playground
    from tests.support.fakes import FakeClock

pytestmark = pytest.mark.cluster

VALUE = "sk-value-of-this-test"


@dataclass
class Counting:
    """Passes everything on to a cluster, and notes what is written."""

    cluster: Cluster
    writes: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cluster, name)

    def apply(self, *given: Any, dry_run: bool = False, **more: Any) -> Any:
        """Apply, and count it."""
        self.writes += not dry_run
        return self.cluster.apply(*given, dry_run=dry_run, **more)


class Agent:
    """Runs the hook in a namespace, and looks at what it made with kubectl."""

    def __init__(self, playground: Playground, kubeconfig: str = "") -> None:
        self.playground = playground
        path = kubeconfig or playground.environment["KUBECONFIG"]
        settings = ClusterSettings(kubeconfig=path, context="")
        self.stream = io.StringIO()
        self.clock = SystemClock()
        self.cluster = Counting(connect(settings, self.clock, self.stream.write))

    def run(self, variables: dict[str, str], **given: Any) -> str:
        """Run the hook; return everything it told."""
        bench = HookBench(
            ensure_codex_secrets,
            cluster=self.cluster,
            outside=real_outside(Console(self.stream)),
            variables=variables,
            namespace=self.playground.namespace,
        )
        try:
            bench.run(**given)
        finally:
            self.said = self.stream.getvalue()
        return self.said

    def secret(self, name: str = "openai-secret") -> dict[str, Any]:
        """Return a Secret as kubectl shows it."""
        found: dict[str, Any] = self.playground.kubectl("get", "secret", name)
        return found

    def data(self, name: str = "openai-secret") -> dict[str, bytes]:
        """Return the values of a Secret."""
        return {key: b64decode(value) for key, value in self.secret(name)["data"].items()}


@pytest.fixture
def agent(playground: Playground) -> Agent:
    """Give an agent in a namespace of its own."""
    kubectl(playground, "create", "namespace", playground.namespace)
    return Agent(playground)


def _create(playground: Playground, verb: str, **more: Any) -> None:
    """Let kubectl make the Secret, as the shell did."""
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "openai-secret"},
        "stringData": {"OPENAI_API_KEY": "old", "theirs": "x"},
        **more,
    }
    kubectl(playground, verb, "-f", "-", given=json.dumps(secret))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"two\nlines\r\n'\"`$(id)${HOME}\\ \t", id="shell"),
        pytest.param(b"\xff\xfe\x00\x80 \xc3", id="no text"),
        pytest.param("Gruß 🙂".encode(), id="unicode"),
        pytest.param(random.Random(7).randbytes(LARGEST), id="1 MiB"),  # noqa: S311
    ],
)
def test_a_value_arrives_unchanged(agent: Agent, value: bytes) -> None:
    """Byte by byte, up to all that Kubernetes takes; nothing of it is told."""
    said = agent.run({"OPENAI_API_KEY": os.fsdecode(value)})

    assert agent.data() == {"OPENAI_API_KEY": value}
    assert agent.secret()["type"] == "Opaque"
    assert f"created Secret {agent.playground.namespace}/openai-secret" in said
    assert b64encode(value).decode()[:12] not in said


def test_what_is_as_it_should_be_is_not_written(agent: Agent) -> None:
    """The version stays; a changed value is one write, and the other Secrets stay, too."""
    variables = {"OPENAI_API_KEY": VALUE, "CONTEXT7_API_KEY": "ctx7-of-this-test"}
    agent.run(variables)
    before = [agent.secret(name)["metadata"] for name in ("openai-secret", "context7-secret")]
    assert agent.cluster.writes == 2

    agent.run(variables)
    assert agent.cluster.writes == 2

    said = agent.run({**variables, "CONTEXT7_API_KEY": "newer"})
    after = [agent.secret(name)["metadata"] for name in ("openai-secret", "context7-secret")]
    assert agent.cluster.writes == 3
    assert after[0]["resourceVersion"] == before[0]["resourceVersion"]
    assert after[1]["resourceVersion"] != before[1]["resourceVersion"]
    assert agent.data("context7-secret") == {"CONTEXT7_API_KEY": b"newer"}
    assert "changed Secret" in said


@pytest.mark.parametrize("verb", ["create", "apply"])
def test_a_secret_of_the_shell_is_taken_over(agent: Agent, verb: str) -> None:
    """What kubectl has made before is no conflict; keys of others stay."""
    _create(agent.playground, verb)

    agent.run({"OPENAI_API_KEY": VALUE})

    assert agent.data() == {"OPENAI_API_KEY": VALUE.encode(), "theirs": b"x"}


def test_it_makes_what_the_shell_made(agent: Agent) -> None:
    """The step that is documented as replaced leaves the same behind, what is not set included."""
    values = {"OPENAI_API_KEY": VALUE, "CODEX_GH_PAT": 'with "quotes" and $(id)'}
    shell = ensure_codex_secrets.replaces.replace("{{ .Namespace }}", agent.playground.namespace)
    folder = Path(agent.playground.kubectl_path).parent
    search = f"{folder}:{os.environ['PATH']}"
    environment = {**agent.playground.environment, **values, "PATH": search}
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", shell],
        env=clean_environment(**environment),
        capture_output=True,
        check=True,
        timeout=QUICK_S,
    )
    by_shell = _contents(agent)
    kubectl(agent.playground, "delete", "secret", "--all")

    agent.run(values)

    assert _contents(agent) == by_shell
    assert [name for name, _, _ in by_shell] == ["github-secret", "openai-secret"]


def _contents(agent: Agent) -> list[tuple[str, str, dict[str, str]]]:
    found = agent.playground.kubectl("get", "secrets")["items"]
    return [(each["metadata"]["name"], each["type"], each["data"]) for each in found]


def test_the_shell_may_go_on(agent: Agent) -> None:
    """While both forms are in use, each run writes what it was given."""
    agent.run({"OPENAI_API_KEY": VALUE})
    _create(agent.playground, "apply")
    assert agent.data()["OPENAI_API_KEY"] == b"old"

    agent.run({"OPENAI_API_KEY": VALUE})

    assert agent.data()["OPENAI_API_KEY"] == VALUE.encode()


def test_a_key_whose_variable_is_not_set_keeps_its_value(agent: Agent) -> None:
    """Server-side apply would remove what we owned and do not name any more."""
    secrets = {"mail": {"USER": "MAIL_USER", "PASSWORD": "MAIL_PASSWORD"}}
    agent.run({"MAIL_USER": "bot", "MAIL_PASSWORD": VALUE}, secrets=secrets)

    said = agent.run({"MAIL_USER": "robot"}, secrets=secrets)

    assert agent.data("mail") == {"USER": b"robot", "PASSWORD": VALUE.encode()}
    assert "MAIL_PASSWORD (for mail)" in said


def test_a_secret_of_another_type(agent: Agent) -> None:
    """The type cannot be changed; the value arrives all the same."""
    _create(agent.playground, "create", type="example.com/key")

    agent.run({"OPENAI_API_KEY": VALUE})

    assert agent.secret()["type"] == "example.com/key"
    assert agent.data()["OPENAI_API_KEY"] == VALUE.encode()


def test_an_immutable_secret(agent: Agent) -> None:
    """The line says what to do, and the other Secrets have not been written."""
    _create(agent.playground, "create", immutable=True)

    error = _failure(agent, {"OPENAI_API_KEY": VALUE, "CONTEXT7_API_KEY": "ctx7-of-this-test"})

    assert "openai-secret: holds other values and is immutable: delete it" in error
    assert agent.data()["OPENAI_API_KEY"] == b"old"
    assert agent.cluster.writes == 0


def test_no_room_beside_what_others_have_added(agent: Agent) -> None:
    """Together it would be more than a Secret may hold: the server says so."""
    half = LARGEST // 2
    _create(agent.playground, "create", stringData={"theirs": "x" * half})

    error = _failure(agent, {"OPENAI_API_KEY": "y" * (half + 1)})

    assert error.endswith("answered 422: data: Too long: may not be more than 1048576 bytes")


def test_two_runs_at_once(agent: Agent) -> None:
    """Whoever comes second finds it there; with different values one of them is the last."""
    for round_ in range(5):
        together = threading.Barrier(4)

        def run(number: int, round_: int = round_, barrier: threading.Barrier = together) -> None:
            one = Agent(agent.playground)
            barrier.wait()
            value = VALUE if round_ % 2 else f"{VALUE}-{number}"
            one.run({"KEY": value}, secrets={f"shared-{round_}": {"KEY": "KEY"}})

        with ThreadPoolExecutor(4) as runs:
            list(runs.map(run, range(4)))
        expected = {VALUE} if round_ % 2 else {f"{VALUE}-{number}" for number in range(4)}
        assert agent.data(f"shared-{round_}")["KEY"].decode() in expected


def test_a_namespace_that_is_not_there(playground: Playground) -> None:
    """The line says that it is missing, not that a Secret is."""
    error = _failure(Agent(playground), {"OPENAI_API_KEY": VALUE})

    assert error == (
        f"namespace {playground.namespace}: does not exist: "
        "create it, or use the hook after it was applied"
    )


def test_a_namespace_that_is_being_deleted(agent: Agent) -> None:
    """The run can be repeated when it is gone."""
    playground = agent.playground
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "finalizers": ["example.com/held"]},
    }
    kubectl(playground, "create", "-f", "-", given=json.dumps(held))
    kubectl(playground, "delete", "namespace", playground.namespace, "--wait=false")
    try:
        error = _failure(agent, {"OPENAI_API_KEY": VALUE})
    finally:
        release = ("patch", "configmap", "held", "--type=json")
        removal = '[{"op": "remove", "path": "/metadata/finalizers"}]'
        kubectl(playground, *release, "-p", removal)

    assert error == f"namespace {playground.namespace}: is being deleted: run again when it is gone"


@pytest.mark.parametrize("verbs", ["", "get"])
def test_an_account_without_rights(agent: Agent, tmp_path: Path, verbs: str) -> None:
    """The line says who lacks which right; nothing has been written."""
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": [verbs]}] if verbs else []
    kubeconfig = kubeconfig_with_rights(agent.playground, "limited", tmp_path, rules)
    limited = Agent(agent.playground, kubeconfig)

    error = _failure(limited, {"OPENAI_API_KEY": VALUE, "CONTEXT7_API_KEY": "ctx7-of-this-test"})

    verb = "patch" if verbs else "get"
    user = f"system:serviceaccount:{agent.playground.namespace}:limited"
    assert error == (
        f"Secret {agent.playground.namespace}/openai-secret: the API server answered 403: "
        f'User "{user}" cannot {verb} resource "secrets": '
        "it takes the rights to get, create and patch secrets there"
    )
    assert limited.cluster.writes == 0


def test_a_server_that_is_away(tmp_path: Path, clock: FakeClock) -> None:
    """It is tried for a while; then one line says which server does not answer."""
    path = tmp_path / "away.conf"
    config = {
        "clusters": [{"name": "away", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "nobody", "user": {}}],
        "contexts": [{"name": "away", "context": {"cluster": "away", "user": "nobody"}}],
        "current-context": "away",
    }
    path.write_text(yaml.safe_dump(config))
    settings = ClusterSettings(kubeconfig=str(path), context="")
    told: list[str] = []
    cluster = connect(settings, clock, told.append)
    bench = HookBench(
        ensure_codex_secrets, cluster=cluster, clock=clock, variables={"OPENAI_API_KEY": VALUE}
    )

    with pytest.raises(ClusterError, match=r"http://127.0.0.1:1: cannot be reached") as caught:
        bench.run()

    assert caught.value.exit_code == 4
    assert VALUE not in str(caught.value) + "".join(told) + bench.said


def test_a_quota(agent: Agent) -> None:
    """The numbers of the quota are told."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "few"},
        "spec": {"hard": {"secrets": "0"}},
    }
    playground = agent.playground
    kubectl(playground, "create", "-f", "-", given=json.dumps(quota))

    error = _failure(agent, {"OPENAI_API_KEY": VALUE})

    assert "openai-secret: the API server answered 403: exceeded quota: few" in error


def _failure(agent: Agent, variables: dict[str, str]) -> str:
    """Run the hook, which fails because of the cluster; return the line."""
    with pytest.raises(CodexctlError) as caught:
        agent.run(variables)
    error = caught.value
    assert isinstance(error, ClusterError)
    assert error.exit_code == 4
    told = "".join(traceback.format_exception(error)) + agent.said
    for value in variables.values():
        assert value not in told
        assert b64encode(value.encode()).decode() not in told
    return str(error)
