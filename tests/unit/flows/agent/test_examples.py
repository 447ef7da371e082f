"""What the examples tell agents and their proxies, as far as no cluster is needed to see it."""

from __future__ import annotations

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
