"""The model's proxy on a real cluster: who reaches it, who sees the key, and what is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent.proxy.access import model_access
from codexctl_tasks.agent.proxy.objects import ProxySettings
from codexctl_tasks.errors import ClusterError
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.kubernetes import connect
from tests.support.shell import run_kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

    from codexctl_tasks.agent.proxy.access import ModelAccess
    from codexctl_tasks.world.kubernetes import KubernetesCluster
    from tests.cluster.conftest import Playground

pytestmark = pytest.mark.cluster

KEY = "sk-SENTINEL-of-the-key"
MODEL = """
import http.server
class Model(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        key = "-".join(("sk", "SENTINEL", "of", "the", "key"))
        has_key = self.headers["Authorization"] == "Bearer " + key
        self.send_response(200 if has_key else 401)
        self.end_headers()
        self.wfile.write(b"data: hello\\n\\n")
http.server.ThreadingHTTPServer(("", 9000), Model).serve_forever()
"""
PATIENCE_S = 240
ASK = """
import sys, time, urllib.error, urllib.request
url, token = sys.stdin.read().split()
headers = {"Authorization": "Bearer " + token, "Content-Type": "application/json"}
ends = time.monotonic() + 60
while True:  # nodes learn of a Service a moment after its pod is ready; agents try again, too
    try:
        request = urllib.request.Request(url, b"{}", headers)
        print(urllib.request.urlopen(request, timeout=20).read())
    except urllib.error.HTTPError as error:
        print(error.code)
    except urllib.error.URLError:
        if time.monotonic() > ends:
            raise
        time.sleep(0.5)
        continue
    break
"""
KILLED = """
import sys, time
from codexctl_tasks.agent.proxy.access import model_access
from codexctl_tasks.agent.proxy.objects import ProxySettings
from codexctl_tasks.requests.basis import ClusterSettings
from codexctl_tasks.world.clock import SystemClock
from codexctl_tasks.world.kubernetes import connect
import json
given = json.loads(sys.stdin.readline())
clock = SystemClock()
cluster = connect(ClusterSettings(kubeconfig=given.pop("kubeconfig"), context=""), clock, print)
with model_access(cluster, clock, ProxySettings(**given), lease_s=3):
    print("ready", flush=True)
    time.sleep(600)
"""


class Site:
    """A slot with a pod that is agent and model at once, and the namespace of its proxies."""

    def __init__(self, playground: Playground) -> None:
        self.playground = playground
        self.env, self.namespace = playground.environment, playground.namespace
        settings = ClusterSettings(kubeconfig=self.env["KUBECONFIG"], context="")
        self.cluster: KubernetesCluster = connect(settings, SystemClock(), lambda _: None)
        run_kubectl(self.env, "create", "namespace", self.namespace)
        words = ("--command", "--", "python3", "-c", MODEL)
        run_kubectl(
            *(self.env, "run", "agent", "-n", self.namespace, "--image", playground.image), *words
        )
        ready = ("--for=condition=Ready", "pod/agent", "--timeout=60s")
        run_kubectl(self.env, "wait", "-n", self.namespace, *ready)
        address = playground.kubectl("get", "pod", "agent")["status"]["podIP"]
        self.settings = ProxySettings(
            project=self.namespace,
            run="one",
            slot=1,
            slot_namespace=self.namespace,
            image=playground.image,
            upstream=f"http://{address}:9000/v1",
            key=KEY,
        )

    def ask(self, url: str, token: str) -> str:
        """Ask the model from within the slot."""
        words = ("exec", "-i", "-n", self.namespace, "agent", "--", "python3", "-c", ASK)
        return run_kubectl(self.env, *words, given=f"{url}/responses {token}").strip()

    def left(self, kinds: str = "pods,secrets,configmaps,services,networkpolicies") -> set[str]:
        """Return what is in the namespace of proxies, without what stays."""
        words = ("get", kinds, "-n", self.settings.place, "-o", "json")
        found = json.loads(run_kubectl(self.env, *words))["items"]
        names = {f"{each['kind']}/{each['metadata']['name']}" for each in found}
        return names - {"ConfigMap/kube-root-ca.crt", "NetworkPolicy/closed"}

    def await_nothing_left(self, *, but: str = "nothing") -> None:
        """Return once the garbage collector has done its work."""
        ends_s = time.monotonic() + PATIENCE_S
        while left := {each for each in self.left() if but not in each}:
            assert time.monotonic() < ends_s, left
            time.sleep(0.5)


@pytest.fixture
def site(playground: Playground) -> Iterator[Site]:
    place = Site(playground)
    yield place
    words = ("delete", "namespace", place.settings.place, "--ignore-not-found", "--wait=false")
    run_kubectl(place.env, *words, check=False)


def _access(site: Site, **more: Any) -> Any:
    return model_access(site.cluster, SystemClock(), replace(site.settings, **more))


def _everything(site: Site, access: ModelAccess) -> dict[str, str]:
    """Return all that an agent or a curious colleague could read, by where it is."""
    proxies, name = site.settings.place, site.settings.name
    inside = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline"
    agent = ("exec", "-n", site.namespace, "agent", "--", "sh", "-c", inside)
    proxy = ("exec", "-n", proxies, name, "--", "sh", "-c", inside)
    kinds = "pods,configmaps,services,networkpolicies,events"
    return {
        "processes of the agent": run_kubectl(site.env, *agent),
        "processes of the proxy": run_kubectl(site.env, *proxy),
        "slot": run_kubectl(
            site.env, "get", f"{kinds},secrets", "-n", site.namespace, "-o", "json"
        ),
        "proxies": run_kubectl(site.env, "get", kinds, "-n", proxies, "-o", "json"),
        "log": run_kubectl(site.env, "logs", "-n", proxies, name),
        "access": repr(access) + repr(site.settings),
    }


def test_the_slot_reaches_the_model_and_never_the_key(site: Site) -> None:
    """Only the run's token opens the proxy; the key is nowhere to be read, and all is removed."""
    with _access(site) as access:
        assert site.ask(access.base_url, access.token) == r"b'data: hello\n\n'"
        assert site.ask(access.base_url, "wrong") == "401"
        assert not access.is_key_refused()
        for where, text in _everything(site, access).items():
            assert KEY not in text, where
            assert access.token not in text, where
    site.await_nothing_left()


def test_a_refused_key_is_told(site: Site) -> None:
    """The model answers 401: codexctl knows that it was the key, not the agent."""
    with _access(site, key="sk-revoked") as access:
        assert site.ask(access.base_url, access.token) == "401"
        assert access.is_key_refused()


def test_two_runs_side_by_side(site: Site) -> None:
    """Each has a token of its own, and the end of one leaves the other alone."""
    with _access(site) as one:
        with _access(site, run="two") as two:
            assert site.ask(two.base_url, one.token) == "401"
            assert site.ask(two.base_url, two.token) == r"b'data: hello\n\n'"
        assert site.ask(one.base_url, one.token) == r"b'data: hello\n\n'"
        site.await_nothing_left(but="model-one")


def test_an_image_that_cannot_be_pulled(site: Site) -> None:
    """One line says which pod, and why; nothing is left."""
    image = site.settings.image.replace("base:1", "absent:1")
    with pytest.raises(
        ClusterError, match=r"model-one: does not start: (ErrImagePull|ImagePullBackOff)"
    ):
        _access(site, image=image).__enter__()
    site.await_nothing_left()


def test_what_a_killed_run_leaves_is_removed_by_the_next(
    site: Site, started: list[Popen[str]]
) -> None:
    """A run is killed without mercy: the next start finds its proxy, and removes it."""
    known = ("project", "run", "slot", "slot_namespace", "image", "upstream", "key")
    given = {name: getattr(site.settings, name) for name in known}
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    started.append(process)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({**given, "kubeconfig": site.env["KUBECONFIG"]}) + "\n")
    process.stdin.flush()
    assert process.stdout.readline() == "ready\n"

    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(6)  # the lease of the killed one runs out
    assert "Pod/model-one" in site.left()

    with _access(site, run="two") as access:
        assert site.ask(access.base_url, access.token) == r"b'data: hello\n\n'"
        site.await_nothing_left(but="model-two")
    site.await_nothing_left()
