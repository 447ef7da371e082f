"""What the examples tell agents and their proxies, as far as no cluster is needed to see it."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.proxy.objects import agent_rights
from codexctl_tasks.flows.agent.way import shown_proxy
from codexctl_tasks.settings import source
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.rendering import desired_of
from codexctl_tasks.stack.steps import steps_of

if TYPE_CHECKING:
    from codexctl_tasks.stack.loading import LoadedStack

EXAMPLES = Path(__file__).parents[4] / "examples"


def _market() -> LoadedStack:
    return load_stack(source(config=str(EXAMPLES / "market/services.yaml"), env="ai", slot="1"))


def _object(loaded: LoadedStack, kind: str, name: str) -> Any:
    bodies = (manifest.body for manifest in desired_of(loaded).manifests)
    (found,) = (b for b in bodies if (b["kind"], b["metadata"]["name"]) == (kind, name))
    return found


def test_the_proxy_of_the_market() -> None:
    """It runs the image that is built for the agent, by the version that the agent's pod has."""
    loaded = _market()
    image = loaded.image_name("agent")
    pod = _object(loaded, "Deployment", "codex")["spec"]["template"]
    lines = shown_proxy(loaded)

    assert image == "registry.example.com/market/agent:node22-local"
    assert pod["spec"]["containers"][0]["image"] == image
    assert [line for line in lines if f"/model-id-of-run: {image}; leads to " in line]


def test_the_pod_of_the_markets_agent() -> None:
    """It has the database of its slot, and no key or token that somebody else pays for."""
    loaded = _market()
    pod = _object(loaded, "Deployment", "codex")["spec"]["template"]
    (container,) = pod["spec"]["containers"]

    assert "envFrom" not in container
    sources = [each["valueFrom"] for each in container["env"] if "valueFrom" in each]
    assert sources == [{"secretKeyRef": {"name": "market", "key": "DATABASE_URL"}}]
    hooks = [step.use for step in steps_of(loaded)]
    assert "codex.ensure-codex-secrets" not in hooks
    assert "codex.ensure-data-dirs" in hooks


def test_the_rights_of_the_markets_agent() -> None:
    """They are those that a plan names as the most that an agent should have."""
    loaded = _market()
    role = _object(loaded, "Role", "codex-slot")
    most = agent_rights(loaded.context.namespace)

    assert role["metadata"]["namespace"] == "market-dev-1"
    assert role["rules"] == most["rules"]


def test_nothing_lets_the_markets_agent_out() -> None:
    """Policies add up: one that opens the internet to all pods would undo what shuts agents in."""
    loaded = _market()
    pod = _object(loaded, "Deployment", "codex")["spec"]["template"]
    shut_in = loaded.stack.codex.proxy.agent_pods.items()
    assert shut_in <= pod["metadata"]["labels"].items()

    bodies = [manifest.body for manifest in desired_of(loaded).manifests]
    policies = [body for body in bodies if body["kind"] == "NetworkPolicy"]
    private = [ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
    ways = [
        ip_network(peer["ipBlock"]["cidr"])
        for policy in policies
        if _matches(policy["spec"]["podSelector"], pod["metadata"]["labels"])
        for rule in policy["spec"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    ]
    assert ways == private
    assert len(policies) == 2


def _matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchExpressions"}
    wanted = selector.get("matchExpressions", [])
    assert all(each["operator"] == "NotIn" for each in wanted)
    return all(labels.get(each["key"]) not in each["values"] for each in wanted)
