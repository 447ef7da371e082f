"""The objects of the model's proxy, and that they come and go with their run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from codexctl_tasks.agent.proxy.access import model_access
from codexctl_tasks.agent.proxy.choice import proxy_settings
from codexctl_tasks.agent.proxy.objects import (
    LEASE,
    ProxySettings,
    agent_rights,
    binding,
    own_roles,
    pod,
    shown_objects,
)
from codexctl_tasks.agent.proxy.program import read_settings
from codexctl_tasks.agent.proxy.showing import shown_lines
from codexctl_tasks.errors import ClusterError, ConfigurationError, DeadlineError
from codexctl_tasks.stack.model import ModelProxy
from tests.support.fakes import FakeClock, FakeCluster

KEY = "sk-SENTINEL"
PLACE = "shop-codexctl-model"
NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
SETTINGS = ProxySettings(
    project="shop",
    run="r1",
    slot=3,
    slot_namespace="shop-dev-3",
    image="python:3",
    upstream="https://model.example/v1",
    key=KEY,
)
SHUT_IN = replace(SETTINGS, agent_pods={"app": "codex"})


class Server(FakeCluster):
    """A cluster whose new pods have a status at once; it may refuse to create a kind."""

    def __init__(self, status: dict[str, Any] = READY) -> None:
        super().__init__()
        self.time, self.status = NOW, status
        self.forbidden = ""

    def create(self, resource: Any, namespace: str, body: Any) -> Any:
        """Create, and let the pod start."""
        if resource.kind == self.forbidden:
            raise ClusterError(f"POST {resource.plural}", "forbidden", status=403)
        made = super().create(resource, namespace if resource.namespaced else "", body)
        if resource.kind == "Pod":
            made["status"] = self.status
        return made

    def delete(self, resource: Any, namespace: str, name: str, uid: str, **more: Any) -> bool:
        """Delete an object, and what it owns."""
        is_gone = super().delete(resource, namespace, name, uid, **more)
        for key, found in list(self.objects.items()):
            owners = found["metadata"].get("ownerReferences") or ()
            if any(each["uid"] == uid for each in owners):
                del self.objects[key]
        return is_gone

    def left(self) -> set[str]:
        """Return what there is of runs."""
        return {
            f"{kind}/{name}" for kind, _, name in self.objects if name.startswith("model-") and kind
        } - {"ServiceAccount/model-proxy"}


def _use(server: Server, settings: ProxySettings = SETTINGS) -> Any:
    return model_access(server, FakeClock(), settings)


def test_everything_goes_with_the_run() -> None:
    """While it runs there is a proxy; after it only the closed namespace is left."""
    server = Server()
    with _use(server, SHUT_IN) as access:
        assert access.base_url == f"http://model-r1.{PLACE}.svc:8080/v1"
        assert ("NetworkPolicy", "shop-dev-3", "model-r1") in server.objects
        assert server.left() >= {"Pod/model-r1", "Secret/model-r1-key", "Service/model-r1"}
        assert len(access.token) > 40
        assert access.token not in repr(access)

    assert server.left() == set()
    assert {kind for kind, _, _ in server.objects} == {
        *("Namespace", "NetworkPolicy", "ServiceAccount"),
    }


def test_a_failure_inside_removes_everything() -> None:
    """Whatever ends the run, nothing of it is left."""
    server = Server()
    with pytest.raises(KeyboardInterrupt), _use(server, SHUT_IN):
        raise KeyboardInterrupt
    assert server.left() == set()


def test_a_kind_that_may_not_be_made() -> None:
    """A run that may not make one of the objects leaves none of the others."""
    server = Server()
    server.forbidden = "Service"
    with pytest.raises(ClusterError, match="services"):
        _use(server).__enter__()
    assert server.left() == set()


def test_a_namespace_that_may_not_be_made() -> None:
    """The line says what to do; one that is there already is used."""
    server = Server()
    server.forbidden = "Namespace"
    with pytest.raises(ClusterError) as caught:
        _use(server).__enter__()
    assert str(caught.value) == (
        f"Namespace {PLACE}: does not exist, and this account may not create it: "
        "create it once, or name another one at codex.proxy.namespace"
    )

    server.objects["Namespace", "", PLACE] = {"metadata": {"name": PLACE, "uid": "1"}}
    with _use(server):
        assert "Pod/model-r1" in server.left()


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (
            {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "X"}}}]},
            *(DeadlineError, "does not start: X"),
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such"}}}
                ],
            },
            *(ClusterError, "ImagePullBackOff: no such: see codex.proxy.image"),
        ),
        ({"phase": "Failed"}, ClusterError, "ended before it was ready: no python3"),
    ],
)
def test_a_pod_that_does_not_run(
    status: dict[str, Any], error: type[Exception], words: str
) -> None:
    """It is told why, and nothing is left."""
    server = Server(status)
    server.log_lines = ["no python3"]
    with pytest.raises(error, match=words):
        _use(server).__enter__()
    assert server.left() == set()


def test_what_dead_runs_left_is_removed_and_others_are_not() -> None:
    """Proxies whose lease is over, or that have ended, go; one that lives stays."""
    server = Server()
    for run, until, phase in (
        *(("dead", -1, "Running"), ("ended", 100, "Failed"), ("alive", 100, "Running")),
    ):
        body = pod(replace(SHUT_IN, run=run), round(NOW.timestamp()) + until)
        made = server.create(_resource("Pod"), PLACE, body)
        made["status"] = {"phase": phase}
        policy = {"metadata": {"name": f"model-{run}", "labels": body["metadata"]["labels"]}}
        kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
        server.create(_resource("NetworkPolicy"), "shop-dev-3", {**kind, **policy})

    with _use(server, SHUT_IN):
        assert "Pod/model-r1" in server.left()

    assert server.left() == {"Pod/model-alive", "NetworkPolicy/model-alive"}


_POD = {"apiVersion": "v1", "kind": "Pod"}


def _agent(server: Server, *, owner: str = "codex-1", **more: Any) -> str:
    """Put an agent's pod into the slot; return its UID."""
    owners = [{"kind": "ReplicaSet", "name": owner, "uid": "0", "controller": True}]
    about = {"name": "codex-1-x", "labels": {"app": "codex"}, **more}
    if owner:
        about["ownerReferences"] = owners
    made = server.create(_resource("Pod"), "shop-dev-3", {**_POD, "metadata": about})
    return str(made["metadata"]["uid"])


def _is_confined(server: Server) -> bool:
    return ("NetworkPolicy", "shop-dev-3", "model-r1") in server.objects


def test_a_pod_that_was_shut_in_is_replaced() -> None:
    """Before its policy goes: what the agent has left in it is never free."""
    server = Server()
    _agent(server)
    other = {**_POD, "metadata": {"name": "web", "labels": {"app": "web"}}}
    server.create(_resource("Pod"), "shop-dev-3", other)

    with _use(server, SHUT_IN):
        assert _is_confined(server)

    calls = [call for call in server.calls if call.startswith("delete")]
    assert calls[-2:] == ["delete Pod codex-1-x Background", "delete NetworkPolicy model-r1"]
    assert ("Pod", "shop-dev-3", "web") in server.objects


@pytest.mark.parametrize("more", [{"owner": ""}, {"finalizers": ["example.com/slow"]}])
def test_a_pod_that_stays_stays_shut_in(more: dict[str, Any]) -> None:
    """Nobody would make it again, or it does not end: the policy is left for the next run."""
    server = Server()
    _agent(server, **more)

    with _use(server, SHUT_IN):
        pass

    assert _is_confined(server)
    assert server.left() == {"NetworkPolicy/model-r1"}
    with _use(server, replace(SHUT_IN, run="r2")):
        assert server.left() >= {"NetworkPolicy/model-r2"}
        assert not _is_confined(server)


def test_an_agent_that_never_began_is_left_alone() -> None:
    """Its proxy does not start: nothing has run in the pod."""
    server = Server({"phase": "Failed"})
    _agent(server)
    with pytest.raises(ClusterError):
        _use(server, SHUT_IN).__enter__()
    assert not _is_confined(server)
    assert ("Pod", "shop-dev-3", "codex-1-x") in server.objects


def _resource(kind: str) -> Any:
    from codexctl_tasks.agent.proxy.access import RESOURCES

    return RESOURCES[kind]


def test_a_run_of_the_same_name_is_left_alone() -> None:
    """The second one is refused, and does not remove the first one's proxy."""
    server = Server()
    with _use(server):
        with pytest.raises(ClusterError):
            _use(server).__enter__()
        assert "Pod/model-r1" in server.left()


def test_a_refused_key_is_known() -> None:
    """What the proxy has logged is asked for when somebody wants to know."""
    server = Server()
    with _use(server) as access:
        assert not access.is_key_refused()
        server.log_lines = ["ready", "upstream refuses the key", "POST /responses: 401 in 0.1 s"]
        assert access.is_key_refused()


def test_no_key_no_proxy() -> None:
    """An empty secret of a workflow is told before anything is made."""
    server = Server()
    with pytest.raises(ConfigurationError, match="model key: is empty"):
        _use(server, replace(SETTINGS, key=" ")).__enter__()
    assert server.objects == {}


def test_what_is_shown_holds_no_secret() -> None:
    """A plan names all objects; the values of Secrets are hidden."""
    shown = json.dumps(shown_objects(SHUT_IN))

    assert KEY not in shown
    assert "c2stU0VOVElORUw" not in shown
    assert shown.count("(hidden)") == 2
    assert KEY not in repr(SETTINGS)


def test_the_pod_is_as_restricted_as_it_can_be() -> None:
    """No account, no capabilities, nothing to write to, an end; the key is a file."""
    spec = pod(SETTINGS, 0)["spec"]
    container = spec["containers"][0]

    assert not spec["automountServiceAccountToken"]
    assert not spec["enableServiceLinks"]
    assert spec["activeDeadlineSeconds"] == SETTINGS.life_s
    assert spec["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "env" not in container
    assert pod(SETTINGS, 7)["metadata"]["labels"][LEASE] == "7"


def test_only_the_slot_comes_in_and_only_the_model_is_reached() -> None:
    """The policies: pods of the slot to the proxy's port, the proxy to DNS and the model's port."""
    policies = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): each["spec"]
        for each in shown_objects(SHUT_IN)
        if each["kind"] == "NetworkPolicy"
    }
    opened, shut = policies[PLACE, "model-r1"], policies["shop-dev-3", "model-r1"]

    assert policies[PLACE, "closed"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert opened["ingress"][0]["from"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop-dev-3"}},
            "podSelector": {"matchLabels": {"app": "codex"}},
        }
    ]
    assert [[port["port"] for port in each["ports"]] for each in opened["egress"]] == [
        *([53, 53], [443]),
    ]
    assert shut["egress"][-1] == {"to": [{"podSelector": {}}]}
    assert len(shown_objects(SETTINGS)) == len(shown_objects(SHUT_IN)) - 1


def test_the_program_understands_its_settings() -> None:
    """What the ConfigMap says is what the program reads."""
    settings = replace(SETTINGS, models=("a",), authorities="PEM", egress="http://way:3128")
    [config] = [each for each in shown_objects(settings) if each["kind"] == "ConfigMap"]

    read = read_settings(config["data"]["settings.json"])

    assert (read.models, read.ca_file) == (("a",), "/program/authorities.pem")
    assert config["data"]["authorities.pem"] == "PEM"
    assert "def main" in config["data"]["program.py"]


def test_what_people_read_before_they_approve_it() -> None:
    """A line for each object and right, with what it is for; nothing of the key."""
    lines = list(shown_lines(SHUT_IN))
    objects = [line for line in lines if " need" not in line and "account should" not in line]
    assert len(objects) == len(shown_objects(SHUT_IN))
    assert f"Namespace {PLACE}: of proxies; stays" in lines
    assert f"Secret {PLACE}/model-r1-key: the key of the model" in lines
    assert (
        f"NetworkPolicy {PLACE}/closed: nothing gets in or out but what others allow; stays"
        in lines
    )
    assert any(
        line.startswith("NetworkPolicy shop-dev-3/model-r1: pods of the agent") for line in lines
    )
    role = "Role shop-dev-3/codexctl-model-proxy"
    rights = "get, list, create, delete networkpolicies; list, delete pods"
    assert f"codexctl needs: {role}: {rights}" in lines
    assert any("Role shop-dev-3/codexctl-agent: get, list, watch pods" in line for line in lines)
    assert not any(SHUT_IN.key in line for line in lines)
    assert not any("shop-dev-3/" in line for line in shown_lines(SETTINGS) if "agent" not in line)


def test_rights_are_minimal() -> None:
    """No Role reads a Secret, and the agent's runs nothing in other pods."""
    for role in (*own_roles(SHUT_IN), agent_rights("shop-dev-3")):
        for rule in role["rules"]:
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["create"]
            assert "pods/exec" not in rule["resources"]
    bound = binding(agent_rights("shop-dev-3"), "agent", "shop-dev-3")
    assert bound["roleRef"]["name"] == "codexctl-agent"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "codex.proxy.image: is not given"),
        ({"image": "i", "upstream": "ftp://a"}, "codex.proxy.upstream: is no http"),
        ({"image": "i", "upstream": "https://u:p@a"}, "codex.proxy.upstream: is no http"),
        ({"image": "i", "egress": "way:99999"}, "codex.proxy.egress: is no http"),
        ({"image": "i", "namespace": "shop-dev-3"}, "codex.proxy.namespace: is the namespace of"),
    ],
)
def test_mistakes_in_services_yaml(given: dict[str, str], words: str) -> None:
    """Each is named by its key, before anything is made."""
    with pytest.raises(ConfigurationError, match=words):
        _chosen(given)


def _chosen(given: dict[str, str]) -> ProxySettings:
    return proxy_settings(
        ModelProxy.model_validate(given),
        project="shop",
        run="r1",
        slot=3,
        slot_namespace="shop-dev-3",
        key="k",
        life_s=60,
    )


def test_without_more_words_the_model_is_that_of_openai() -> None:
    """An image is all that has to be written."""
    chosen = _chosen({"image": "python:3"})

    assert (chosen.upstream, chosen.place) == ("https://api.openai.com/v1", PLACE)
    assert (chosen.max_requests, chosen.max_request_bytes) == (2000, 64 * 2**20)
