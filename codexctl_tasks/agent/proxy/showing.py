"""What people read of a proxy before they approve it: its objects, and who needs which rights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.proxy import objects
from codexctl_tasks.agent.proxy.program import KEY_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from codexctl_tasks.agent.proxy.objects import ProxySettings

_MEANING = {
    "Namespace": "of proxies; stays",
    "ServiceAccount": "of proxies, without rights; stays",
    "ConfigMap": "the program and its settings",
    "Service": "by which the agent reaches it",
}
"""What is said of a kind; of the others it depends on the object."""


def shown_lines(settings: ProxySettings) -> Iterator[str]:
    """Yield a line for each object that a run makes, then one for each right that is needed."""
    for body in objects.shown_objects(settings):
        yield f"{_named(body)}: {_meaning(body, settings)}"
    yield f"codexctl needs: create namespaces, unless {settings.place} exists"
    for role in objects.own_roles(settings):
        yield f"codexctl needs: {_rights(role)}"
    yield f"an agent's account should have no more than: {_rights(_agent_role(settings))}"


def _meaning(body: Mapping[str, Any], settings: ProxySettings) -> str:
    kind, name = body["kind"], body["metadata"]["name"]
    if kind == "Pod":
        return f"{settings.image}; leads to {_model(settings)}; what is below goes with it"
    if kind == "Secret":
        return "the key of the model" if name.endswith(KEY_FILE) else "the token of the run"
    if kind == "NetworkPolicy":
        return _policy(body, settings)
    return _MEANING[kind]


def _policy(body: Mapping[str, Any], settings: ProxySettings) -> str:
    metadata = body["metadata"]
    if metadata["namespace"] == settings.slot_namespace:
        return "pods of the agent reach the proxy, DNS and their own namespace; goes with the run"
    if metadata["name"] == objects.CLOSED:
        return "nothing gets in or out but what others allow; stays"
    return f"pods of {settings.slot_namespace} get in, and it gets out to the model"


def _model(settings: ProxySettings) -> str:
    through = f" through {settings.egress}" if settings.egress else ""
    return f"{settings.upstream}{through}"


def _agent_role(settings: ProxySettings) -> Mapping[str, Any]:
    return objects.agent_rights(settings.slot_namespace)


def _rights(role: Mapping[str, Any]) -> str:
    rules = "; ".join(
        f"{', '.join(rule['verbs'])} {', '.join(rule['resources'])}" for rule in role["rules"]
    )
    return f"{_named(role)}: {rules}"


def _named(body: Mapping[str, Any]) -> str:
    metadata = body["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{body['kind']} {place}{metadata['name']}"
