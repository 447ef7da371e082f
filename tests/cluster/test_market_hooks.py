"""The market's hooks, as shell and as built-in hooks: both leave the same behind."""

from __future__ import annotations

import base64
import itertools
import json
import os
import re
import shutil
import stat
import threading
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sandbox import prerequisites
from tests.support.certificates import Authority
from tests.support.shell import ROOT, SLOW_S, kubectl_path, run, run_kubectl

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.cluster

FORMS = {
    "shell": ROOT / "tests" / "cluster" / "market" / "shell.yaml",
    "hooks": ROOT / "examples" / "market" / "services.yaml",
}
SECRETS = {
    "OPENAI_API_KEY": "sk-\"quoted\" 'and' $(not run) `nor` this",
    "CODEXCTL_GH_PAT": "ghp_first\nsecond line\n",
}
TLS = "market-slot-1-tls"
HOST = "slot-1.ai.market.example.com"
_MANIFESTS = re.compile(r"^    manifests:\n(?:      - path: .*\n)+", re.MULTILINE)


@dataclass
class Market:
    """The market without its manifests, in namespaces of its own, and what its hooks touch."""

    form: str
    folder: Path
    environment: Mapping[str, str] = field(repr=False)
    number: int = field(default_factory=itertools.count(1).__next__)

    @property
    def project(self) -> str:
        """The name that its namespaces begin with."""
        return f"market-{self.form}-{os.getpid()}-{self.number}"

    @property
    def namespace(self) -> str:
        """That of slot 1."""
        return f"{self.project}-dev-1"

    @property
    def staging(self) -> str:
        """Where certificates are kept."""
        return f"{self.project}-staging"

    @property
    def repair(self) -> str:
        """That of ``ai-repair``."""
        return f"{self.project}-ai-staging"

    def prepare(self) -> None:
        """Write the stack, make both namespaces, and a database that is ready."""
        text = FORMS[self.form].read_text(encoding="utf-8")
        text, count = _MANIFESTS.subn("", text)
        assert count == 11
        text = text.replace("project: market\n", f"project: {self.project}\n")
        (self.folder / "services.yaml").write_text(text)
        shutil.copytree(ROOT / "examples" / "market" / "deploy", self.folder / "deploy")
        (self.folder / "bin").mkdir()
        kubectl = shutil.which(kubectl_path(self.environment))
        (self.folder / "bin" / "kubectl").symlink_to(str(kubectl))
        (self.folder / "data").mkdir()
        for name in (self.namespace, self.staging, self.repair):
            self.kubectl("create", "namespace", name)
        self.kubectl("apply", "-f", "-", given=json.dumps(_database(self)))

    def task(self, task: str, *, env: str = "ai") -> subprocess.CompletedProcess[str]:
        """Run a task; the slot is 1."""
        slot = ("--slot", "1") if env == "ai" else ()
        return run(task, "--env", env, *slot, cwd=self.folder, env=self._variables)

    def kubectl(self, *words: str, given: str = "") -> str:
        """Run kubectl and return what it printed."""
        return run_kubectl(self.environment, *words, given=given)

    def secrets(self, namespace: str) -> dict[str, Any]:
        """Return type and data of each Secret."""
        items = json.loads(self.kubectl("-n", namespace, "get", "secrets", "-o", "json"))["items"]
        return {each["metadata"]["name"]: (each["type"], each["data"]) for each in items}

    def directories(self) -> dict[str, str]:
        """Return the mode of each directory of the data root, by its path."""
        root = self.folder / "data"
        return {
            str(path.relative_to(root)): stat.filemode(path.stat().st_mode)
            for path in sorted(root.rglob("*"))
        }

    def put_certificate(self, namespace: str, certificate: Mapping[str, Any]) -> None:
        """Create the slot's TLS Secret, as cert-manager would."""
        self.kubectl("-n", namespace, "create", "-f", "-", given=json.dumps(certificate))

    @property
    def _variables(self) -> dict[str, str]:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        root = str(self.folder / "data")
        return {**self.environment, **SECRETS, "PATH": path, "DATA_ROOT": root}


def _database(market: Market) -> dict[str, Any]:
    """Return a StatefulSet that is called as the market's and is ready at once."""
    image = f"{market.environment['SANDBOX_REGISTRY']}/base:1"
    container = {"name": "postgres", "image": image, "command": ["sleep", "100000"]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "postgres", "namespace": market.namespace},
        "spec": {
            "serviceName": "postgres",
            "selector": {"matchLabels": {"app": "postgres"}},
            "template": {
                "metadata": {"labels": {"app": "postgres"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }


@pytest.fixture(scope="module")
def certificate() -> dict[str, Any]:
    """Return the TLS Secret of the slot's host as cert-manager makes it, good for 90 days."""
    issued = Authority().issue(HOST, ends=timedelta(days=90), self_signed=True)
    return issued.secret(TLS, annotations={"cert-manager.io/alt-names": HOST})


@pytest.fixture(params=sorted(FORMS))
def market(
    request: pytest.FixtureRequest, tmp_path: Path, cluster_environment: dict[str, str]
) -> Iterator[Market]:
    """Return the market in one of its forms."""
    if request.param == "shell":
        missing = [name for name in ("jq", "curl") if shutil.which(name) is None]
        if missing and os.geteuid() != 0:
            pytest.skip(f"missing packages: {' '.join(missing)}; only root can install them")
        if missing:
            prerequisites.install(*missing)
    place = Market(request.param, tmp_path, cluster_environment)
    place.prepare()
    yield place
    names = (place.namespace, place.staging, place.repair, f"{place.project}-dev")
    place.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false")


DIRECTORIES = {
    "slots": "drwxr-xr-x",
    "slots/1": "drwxr-xr-x",
    "slots/1/postgres": "drwxrwxrwx",
    "slots/1/rabbitmq": "drwxrwxrwx",
    "slots/1/redis": "drwxrwxrwx",
}


def test_a_slot_that_finds_its_certificate(market: Market, certificate: dict[str, Any]) -> None:
    """The Secret that was kept and none of an agent; the same directories and modes; then again."""
    market.put_certificate(market.staging, certificate)

    first = market.task("apply")
    again = market.task("apply")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert market.secrets(market.namespace) == {TLS: ("kubernetes.io/tls", certificate["data"])}
    assert market.secrets(market.staging) == {TLS: ("kubernetes.io/tls", certificate["data"])}
    assert market.directories() == DIRECTORIES


def test_a_slot_whose_certificate_is_made(market: Market, certificate: dict[str, Any]) -> None:
    """Nothing to copy: both wait until somebody has made one, and keep it for the next slot."""
    running = threading.Thread(target=lambda: results.append(market.task("apply")))
    results: list[subprocess.CompletedProcess[str]] = []
    running.start()
    time.sleep(4)
    market.put_certificate(market.namespace, certificate)
    running.join(SLOW_S)

    assert [each.returncode for each in results] == [0], results
    assert market.secrets(market.namespace) == {TLS: ("kubernetes.io/tls", certificate["data"])}
    assert market.secrets(market.staging) == {TLS: ("kubernetes.io/tls", certificate["data"])}


def test_a_slot_that_is_taken_down(market: Market, certificate: dict[str, Any]) -> None:
    """No data is left; the shell removes the directories, the hook leaves them, empty."""
    market.put_certificate(market.staging, certificate)
    assert market.task("apply").returncode == 0
    (market.folder / "data" / "slots" / "1" / "redis" / "dump.rdb").write_text("data")

    assert market.task("destroy").returncode == 0

    left = market.directories()
    kept = DIRECTORIES if market.form == "hooks" else {"slots": ..., "slots/1": ...}
    assert left.keys() == kept.keys()


def test_an_agent_that_people_start(market: Market) -> None:
    """The same Secret, type and key included: the key of the model, and no token of GitHub."""
    first = market.task("apply", env="ai-repair")
    again = market.task("apply", env="ai-repair")

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    key = base64.b64encode(SECRETS["OPENAI_API_KEY"].encode()).decode()
    expected = {"openai-secret": ("Opaque", {"OPENAI_API_KEY": key})}
    assert market.secrets(market.repair) == expected
    assert not any(value.splitlines()[0] in first.stderr for value in SECRETS.values())


def test_a_host_that_answers_nothing(market: Market) -> None:
    """`dev` on a machine without ingress controller: both only warn."""
    market.kubectl("create", "namespace", f"{market.project}-dev")
    database = _database(market)
    database["metadata"]["namespace"] = f"{market.project}-dev"
    market.kubectl("apply", "-f", "-", given=json.dumps(database))

    done = market.task("apply", env="dev")

    assert done.returncode == 0, done.stderr
    assert "host-ports" in done.stderr
    assert {path.split("/")[0] for path in market.directories()} == {"dev"}
