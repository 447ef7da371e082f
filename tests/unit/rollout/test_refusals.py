"""From an answer of the API server to the line that caused it."""

from __future__ import annotations

import pytest

from codexctl_tasks.errors import ClusterError
from codexctl_tasks.rollout.refusals import explained
from tests.support.objects import placed

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  template:
    spec:
      containers:
      - name: side
        image: a
      - name: app
        image: b
        ports:
        - containerPort: 80
          protocol: TCP
        imagee: c
"""


def _explained(what: str, status: int = 422, *, fields: tuple[str, ...] = (), fix: str = "") -> str:
    [web] = placed(DEPLOYMENT)
    error = ClusterError("PATCH /x", what, fix, status=status, reason="R", fields=fields)
    answer = explained(error, web)
    assert (answer.status, answer.reason, answer.exit_code) == (status, "R", 4)
    return str(answer)


@pytest.mark.parametrize(
    ("field", "line"),
    [
        ("spec.template.spec.containers[0].image", 10),
        ("spec.template.spec.containers[1].ports[0].containerPort", 14),
        ('spec.template.spec.containers[name="app"].image', 12),
        ("spec.template.spec.containers[1].nope", 11),
        ("metadata.labels[app.kubernetes.io/name]", 3),
        ("", 1),
    ],
)
def test_the_blamed_field_is_found(field: str, line: int) -> None:
    """The annotation in GitHub stands at the field that was refused."""
    assert _explained("Invalid value", fields=(field,)).startswith(
        f"f.yaml:{line}: Deployment shop/web: Invalid value: correct the manifest"
    )


@pytest.mark.parametrize(
    "text",
    [
        '.spec.template.spec.containers[name="app"].imagee: field not declared in schema',
        'strict decoding error: unknown field "spec.template.spec.containers[1].imagee"',
    ],
    ids=["apply", "decoding"],
)
def test_a_misspelt_field_is_found(text: str) -> None:
    """Both ways in which the server names a field that it does not know."""
    assert _explained(f"failed to create typed patch object: {text}", 400).startswith("f.yaml:16: ")


def test_a_conflict_says_how_to_take_over() -> None:
    """The message names the field's owner; the fix names the flag."""
    line = _explained('Apply failed with 1 conflict: conflict with "helm": .spec.replicas', 409)

    assert line.endswith("or take it over with --force-conflicts")


def test_other_refusals_keep_their_own_advice() -> None:
    """Missing permission is not the manifest's fault, but the object is named."""
    line = _explained("forbidden", 403, fix="ask for this permission")

    assert line == "f.yaml:1: Deployment shop/web: forbidden: ask for this permission"


def test_without_an_answer_the_error_is_about_the_cluster() -> None:
    """An unreachable cluster is not blamed on a manifest."""
    [web] = placed(DEPLOYMENT)
    error = ClusterError("https://c", "cannot be reached")

    assert explained(error, web) is error
