"""What is sent of a manifest."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from codexctl_tasks.apply.bodies import STACK_LABEL, autoscaled, body_of, with_live_replicas
from tests.support.objects import placed, yaml_of


def _body(text: str, label: str = "") -> dict[str, Any]:
    [only] = placed(text)
    return body_of(only, label)


def test_texts_of_a_secret_are_encoded() -> None:
    """A Secret that did not change is recognised: the server never gives ``stringData`` back."""
    text = "stringData: {a: wörd, b: text}\ndata: {b: b2xk, c: a2VwdA==}"

    body = _body(yaml_of("Secret", "db", *text.splitlines()))

    assert "stringData" not in body
    decoded = {key: b64decode(value).decode() for key, value in body["data"].items()}
    assert decoded == {"a": "wörd", "b": "text", "c": "kept"}


@pytest.mark.parametrize(
    "lines",
    [
        ["data: {a: YQ==}"],
        ["stringData: [a]"],
        ["stringData: {a: 1}"],
        ["stringData: {a: null}"],
        ["stringData: {a: text}", "data: [b]"],
    ],
    ids=str,
)
def test_a_secret_that_cannot_be_encoded_is_left_to_the_server(lines: list[str]) -> None:
    """The server's refusal names the mistake; nothing is guessed here."""
    [only] = placed(yaml_of("Secret", "db", *lines))

    sent = body_of(only, "")

    assert {**sent, "metadata": 0} == {**only.manifest.body, "metadata": 0}


def test_only_secrets_have_text_data() -> None:
    """A custom resource may have a field of that name, which means what its authors say."""
    thing = "apiVersion: g.io/v1\nkind: Secret\nmetadata: {name: a}\nstringData: {a: b}\n"

    assert _body(thing)["stringData"] == {"a": "b"}


@pytest.mark.parametrize(
    ("label", "lines", "labels"),
    [
        ("shop.prod", [], {STACK_LABEL: "shop.prod"}),
        ("shop.prod", ["  labels: {app: web}"], {"app": "web", STACK_LABEL: "shop.prod"}),
        ("shop.prod", ["  labels:"], {STACK_LABEL: "shop.prod"}),
        ("shop.prod", ["  labels: [a]"], ["a"]),
        ("", ["  labels: {app: web}"], {"app": "web"}),
        ("", [], None),
    ],
    ids=str,
)
def test_objects_of_a_named_stack_are_labelled(label: str, lines: list[str], labels: Any) -> None:
    """``kubectl get all -l codexctl/stack=...`` finds a stack; own labels stay."""
    assert _body(yaml_of("ConfigMap", "a", *lines), label)["metadata"].get("labels") == labels


def test_what_only_the_server_sets_is_left_out() -> None:
    """Manifests from ``kubectl create --dry-run`` or ``kubectl get -o yaml`` apply as they are."""
    exported = [
        "  creationTimestamp: null",
        "  uid: u",
        '  resourceVersion: "7"',
        "  generation: 2",
    ]

    body = _body(yaml_of("ConfigMap", "a", *exported, "  managedFields: []"))

    assert set(body["metadata"]) == {"name", "namespace"}


def test_the_namespace_is_written_into_the_object() -> None:
    """What is sent says where it belongs; cluster-wide objects say nothing."""
    assert _body(yaml_of("ConfigMap", "a"))["metadata"]["namespace"] == "shop"
    assert "namespace" not in _body(yaml_of("Namespace", "a", "  namespace: shop"))["metadata"]


def test_the_manifest_itself_stays_as_it_is() -> None:
    """Errors and later runs refer to what was written."""
    [only] = placed(yaml_of("Secret", "a", "  labels: {a: b}", "stringData: {a: b}"))
    before = repr(only.manifest.body)

    body_of(only, "shop")["metadata"]["labels"]["more"] = "x"

    assert repr(only.manifest.body) == before


def test_what_autoscalers_scale() -> None:
    """Only objects of the autoscaler's own namespace; malformed ones are left to the server."""
    target = {"kind": "Deployment", "name": "web"}

    def scaler(spec: Any, kind: str = "HorizontalPodAutoscaler") -> dict[str, Any]:
        return {"kind": kind, "metadata": {"name": "a", "namespace": "shop"}, "spec": spec}

    bodies: list[Any] = [
        scaler({"scaleTargetRef": target}),
        scaler({"scaleTargetRef": target}, kind="ScaledObject"),
        scaler({"scaleTargetRef": "web"}),
        scaler({}),
        scaler(None),
        {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "a"}},
    ]

    assert autoscaled(bodies) == {("shop", "Deployment", "web")}


LIVE = {"spec": {"replicas": 7}}


@pytest.mark.parametrize(
    ("spec", "live", "owned", "sent"),
    [
        ({"replicas": 2, "a": 1}, None, False, {"replicas": 2, "a": 1}),
        ({"replicas": 2, "a": 1}, LIVE, True, {"replicas": 7, "a": 1}),
        ({"replicas": 2, "a": 1}, LIVE, False, {"a": 1}),
        ({"replicas": 2}, {"spec": {}}, True, {}),
        ({"replicas": 2}, {}, False, {}),
        ({"a": 1}, LIVE, True, {"a": 1}),
        ("odd", LIVE, True, "odd"),
    ],
    ids=["new", "ours", "the autoscaler's", "never set", "nothing known", "not written", "odd"],
)
def test_a_deploy_does_not_undo_the_autoscaler(
    spec: Any, live: Any, owned: bool, sent: Any
) -> None:
    """New workloads begin with the manifest's number; running ones keep the number they have."""
    assert with_live_replicas({"spec": spec}, live, owned=owned) == {"spec": sent}
