"""
The objects of the proxy that holds the model key; pure.

They live in a namespace of their own, which no slot can read, so that an agent, whatever it may do
in its slot, finds no key. The namespace and the policy that closes it stay; everything else is of
one run and is owned by its pod, so that nothing is left when that goes.

By default nothing is changed in the slot's namespace: which ways an agent needs out of its pod,
such as to package registries, is the project's to say, and a policy that is too narrow breaks its
work in ways that are hard to see. `ProxySettings.agent_pods` asks for a policy there: the pods that
it names reach the proxy, the cluster's DNS and their own namespace, and no API server.

The rights of `own_rights` and `agent_rights` are shown and documented, and never granted by a run:
one that could grant rights would have too many.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from codexctl_tasks.agent.proxy.program import KEY_FILE, PORT, TOKEN_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping

    Object = dict[str, Any]

MADE_BY, COMPONENT = "app.kubernetes.io/managed-by", "app.kubernetes.io/component"
PROXY = "model-proxy"
CONTAINER = "proxy"
CLOSED = "closed"
"""Policy of the namespace that lets nothing in or out."""
RUN, SLOT, PROJECT = "codexctl.io/run", "codexctl.io/slot", "codexctl.io/project"
LEASE = "codexctl.io/lease-until"
"""Label of the pod: until when its run is sure to live, in seconds since 1970."""
_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_HIDDEN = "(hidden)"
_USER = 65_532


@dataclass(frozen=True, kw_only=True, slots=True)
class ProxySettings:
    """What a proxy is for."""

    project: str
    run: str
    """Part of all names: lower-case letters, digits and hyphens, at most 40."""
    slot: int
    """0: none."""
    slot_namespace: str
    """Whose pods may reach it."""
    image: str
    """Has Python 3.9 or newer as ``python3``."""
    upstream: str
    """``https://host/path``, to which ``/responses`` is added."""
    key: str = field(repr=False)
    namespace: str = ""
    """Empty: `<project>-codexctl-model`."""
    pull_secret: str = ""
    """Of that namespace; empty: none."""
    models: tuple[str, ...] = ()
    """Empty: any."""
    tools: tuple[str, ...] = ()
    """Kinds of tools of the model's provider that the agent may use."""
    authorities: str = ""
    """Certificates to trust, as PEM; empty: those of the image."""
    egress: str = ""
    """Address of an HTTP proxy; empty: none."""
    max_requests: int = 2000
    max_request_bytes: int = 64 * 2**20
    life_s: int = 14_400
    """For how long the pod lives at most."""
    agent_pods: Mapping[str, str] = field(default_factory=dict)
    """Labels of pods in the slot's namespace that are shut in; empty: none."""

    @property
    def place(self) -> str:
        """Namespace of the proxy."""
        return self.namespace or f"{self.project}-codexctl-model"

    @property
    def name(self) -> str:
        """Of the pod and what belongs to it."""
        return f"model-{self.run}"

    @property
    def base_url(self) -> str:
        """What an agent is told."""
        return f"http://{self.name}.{self.place}.svc:{PORT}/v1"

    @property
    def labels(self) -> dict[str, str]:
        """Of everything that belongs to the run."""
        return {
            MADE_BY: "codexctl",
            COMPONENT: PROXY,
            PROJECT: self.project,
            RUN: self.run,
            SLOT: str(self.slot),
        }


def frame(settings: ProxySettings) -> list[Object]:
    """Return what stays: the namespace, an account without rights, a policy that closes it."""
    labels = {MADE_BY: "codexctl", COMPONENT: PROXY, PROJECT: settings.project}
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    space = {"apiVersion": "v1", "kind": "Namespace"}
    return [
        {**space, "metadata": {"name": settings.place, "labels": {**labels, **level}}},
        {
            **_object("v1", "ServiceAccount", PROXY, settings.place, labels),
            "automountServiceAccountToken": False,
        },
        {**_policy(CLOSED, settings.place, labels), "spec": closed},
    ]


def pod(settings: ProxySettings, lease_until: int) -> Object:
    """Return the pod; *lease_until*: in seconds since 1970."""
    body = _object("v1", "Pod", settings.name, settings.place, settings.labels)
    body["metadata"]["labels"] = {**settings.labels, LEASE: str(lease_until)}
    spec = {
        "serviceAccountName": PROXY,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": settings.life_s,
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(settings)],
        "volumes": [
            {"name": "program", "configMap": {"name": settings.name}},
            {"name": "secrets", "projected": {"defaultMode": 0o440, "sources": _sources(settings)}},
        ],
    }
    if settings.pull_secret:
        spec["imagePullSecrets"] = [{"name": settings.pull_secret}]
    return {**body, "spec": spec}


def _sources(settings: ProxySettings) -> list[Object]:
    return [{"secret": {"name": f"{settings.name}-{each}"}} for each in (KEY_FILE, TOKEN_FILE)]


def _container(settings: ProxySettings) -> Object:
    words = ["python3", "-I", "-B", "/program/program.py", "/program/settings.json", "/secrets"]
    probe = {"httpGet": {"path": "/healthz", "port": PORT}, "periodSeconds": 1}
    return {
        "name": CONTAINER,
        "image": settings.image,
        "command": words,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": probe,
        "resources": {
            "requests": {"cpu": "20m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},  # bodies are held until they are whole
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "program", "mountPath": "/program", "readOnly": True},
            {"name": "secrets", "mountPath": "/secrets", "readOnly": True},
        ],
    }


def belongings(settings: ProxySettings, token: str, owner_uid: str) -> list[Object]:
    """Return what is owned by the pod, whose UID is *owner_uid*; *token*: of the run."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": settings.name, "uid": owner_uid}
    objects = [
        _secret(settings, KEY_FILE, settings.key),
        _secret(settings, TOKEN_FILE, token),
        _program(settings),
        _service(settings),
        _openings(settings),
    ]
    for each in objects:
        each["metadata"]["ownerReferences"] = [owner]
    return objects


def _secret(settings: ProxySettings, part: str, value: str) -> Object:
    name = f"{settings.name}-{part}"
    data = {part: base64.b64encode(value.encode()).decode()}
    body = _object("v1", "Secret", name, settings.place, settings.labels)
    return {**body, "type": "Opaque", "immutable": True, "data": data}


def _program(settings: ProxySettings) -> Object:
    told = {
        "upstream": settings.upstream,
        "models": settings.models,
        "tools": settings.tools,
        "egress": settings.egress,
        "max_requests": settings.max_requests,
        "max_request_bytes": settings.max_request_bytes,
        "life_s": settings.life_s,
        "ca_file": "/program/authorities.pem" if settings.authorities else "",
    }
    data = {
        "program.py": Path(__file__).with_name("program.py").read_text(encoding="utf-8"),
        "settings.json": json.dumps(told),
        **({"authorities.pem": settings.authorities} if settings.authorities else {}),
    }
    body = _object("v1", "ConfigMap", settings.name, settings.place, settings.labels)
    return {**body, "immutable": True, "data": data}


def _service(settings: ProxySettings) -> Object:
    spec = {
        "selector": {COMPONENT: PROXY, RUN: settings.run},
        "ports": [{"name": "http", "port": PORT, "targetPort": PORT}],
    }
    return {
        **_object("v1", "Service", settings.name, settings.place, settings.labels),
        "spec": spec,
    }


def _openings(settings: ProxySettings) -> Object:
    """Return the policy that lets the slot in, and the proxy out to the model."""
    way = urlsplit(settings.egress or settings.upstream)
    port = way.port or (443 if way.scheme == "https" else 80)
    slot: Object = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: settings.slot_namespace}}
    }
    if settings.agent_pods:
        slot["podSelector"] = {"matchLabels": dict(settings.agent_pods)}
    spec = {
        "podSelector": {"matchLabels": {COMPONENT: PROXY, RUN: settings.run}},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [slot], "ports": [{"protocol": "TCP", "port": PORT}]}],
        "egress": [_dns(), {"ports": [{"protocol": "TCP", "port": port}]}],
    }
    return {**_policy(settings.name, settings.place, settings.labels), "spec": spec}


def confinement(settings: ProxySettings) -> list[Object]:
    """Return what is made in the slot's namespace: nothing, or what shuts the agent in."""
    if not settings.agent_pods:
        return []
    proxy = {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: settings.place}},
        "podSelector": {"matchLabels": {COMPONENT: PROXY, RUN: settings.run}},
    }
    spec = {
        "podSelector": {"matchLabels": dict(settings.agent_pods)},
        "policyTypes": ["Egress"],
        "egress": [
            _dns(),
            {"to": [proxy], "ports": [{"protocol": "TCP", "port": PORT}]},
            {"to": [{"podSelector": {}}]},
        ],
    }
    policy = _policy(settings.name, settings.slot_namespace, settings.labels)
    return [{**policy, "spec": spec}]


def own_rights(place: str) -> Object:
    """Return the Role that codexctl itself needs in the namespace of proxies, if that exists."""
    writing = ["get", "list", "create", "delete"]
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": [*writing, "patch"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
        {
            "apiGroups": [""],
            "resources": ["secrets", "configmaps", "services", "serviceaccounts"],
            "verbs": ["create"],
        },
        {
            "apiGroups": ["networking.k8s.io"],
            "resources": ["networkpolicies"],
            "verbs": writing,
        },
    ]
    return {**_role("codexctl-model-proxy", place), "rules": rules}


def own_roles(settings: ProxySettings) -> list[Object]:
    """Return all Roles that codexctl itself needs for a proxy and the policy that goes with it."""
    if not settings.agent_pods:
        return [own_rights(settings.place)]
    kinds = ["networkpolicies"]
    verbs = ["get", "list", "create", "delete"]
    rules = [
        {"apiGroups": ["networking.k8s.io"], "resources": kinds, "verbs": verbs},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "delete"]},
    ]
    role = {**_role("codexctl-model-proxy", settings.slot_namespace), "rules": rules}
    return [own_rights(settings.place), role]


def agent_rights(namespace: str) -> Object:
    """Return the Role for an agent's account: it sees its slot, no Secret, and runs nothing."""
    verbs = ["get", "list", "watch"]
    kinds = ["pods", "pods/log", "services", "events", "endpoints"]
    rules = [
        {"apiGroups": [""], "resources": kinds, "verbs": verbs},
        {
            "apiGroups": ["apps", "batch"],
            "resources": ["deployments", "replicasets", "statefulsets", "daemonsets", "jobs"],
            "verbs": verbs,
        },
    ]
    return {**_role("codexctl-agent", namespace), "rules": rules}


def binding(role: Mapping[str, Any], account: str, namespace: str) -> Object:
    """Return what gives a Role to a ServiceAccount of *namespace*."""
    metadata, api = role["metadata"], "rbac.authorization.k8s.io"
    body = _object(f"{api}/v1", "RoleBinding", metadata["name"], metadata["namespace"], {})
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    role_ref = {"apiGroup": api, "kind": "Role", "name": metadata["name"]}
    return {**body, "subjects": [subject], "roleRef": role_ref}


def shown_objects(settings: ProxySettings) -> list[Object]:
    """Return all that a run makes, without secret values, for people to read."""
    objects = [
        *frame(settings),
        pod(settings, 0),
        *belongings(settings, _HIDDEN, "(of the pod)"),
        *confinement(settings),
    ]
    return [_masked(each) for each in objects]


def _masked(body: Object) -> Object:
    if body["kind"] != "Secret":
        return body
    return {**body, "data": dict.fromkeys(body["data"], _HIDDEN)}


def _dns() -> Object:
    ports = [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]
    return {"to": [{"namespaceSelector": {}}], "ports": ports}


def _policy(name: str, namespace: str, labels: Mapping[str, str]) -> Object:
    return _object("networking.k8s.io/v1", "NetworkPolicy", name, namespace, labels)


def _role(name: str, namespace: str) -> Object:
    return _object("rbac.authorization.k8s.io/v1", "Role", name, namespace, {MADE_BY: "codexctl"})


def _object(
    version: str, kind: str, name: str, namespace: str, labels: Mapping[str, str]
) -> Object:
    metadata = {"name": name, "namespace": namespace, "labels": dict(labels)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}
