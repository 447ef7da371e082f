"""From an answer of the API server to the line that caused it."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.apply.refusals import explained, explained_deletion
from codexctl_tasks.errors import Cause, ClusterError, Conflict, Location
from tests.support.objects import name_of, placed

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


def _explained(what: str, status: int = 422, *, fix: str = "", **more: Any) -> list[str]:
    [web] = placed(DEPLOYMENT)
    error = ClusterError("PATCH /x", what, fix, status=status, reason="R", **more)
    answers = explained(error, web)
    for answer in answers:
        assert (answer.status, answer.reason, answer.exit_code) == (status, "R", 4)
    return [str(answer) for answer in answers]


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
    [answer] = _explained("Invalid value", causes=(Cause(field, ""),))

    assert answer == f"f.yaml:{line}: Deployment shop/web: Invalid value: correct the manifest"


def test_every_blamed_field_is_an_annotation_of_its_own() -> None:
    """Two mistakes in one object are two lines, each with its own words."""
    causes = (
        Cause("spec.template.spec.containers[0].image", "Required value"),
        Cause("spec.template.spec.containers[1].ports[0].containerPort", "must be between"),
        Cause("", "no field"),
    )

    assert [line.split(": ", 2)[::2] for line in _explained("Invalid", causes=causes)] == [
        ["f.yaml:10", f"{causes[0].field}: Required value: correct the manifest"],
        ["f.yaml:14", f"{causes[1].field}: must be between: correct the manifest"],
    ]
    assert len(_explained("denied", 403, causes=causes)) == 1


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
    [line] = _explained(f"failed to create typed patch object: {text}", 500)

    assert line.startswith("f.yaml:16: Deployment shop/web: spec.template.spec.containers[")
    assert "imagee is no field of Deployment in apps/v1: correct the manifest" in line


def test_all_misspelt_fields_and_wrong_types_are_found() -> None:
    """The server names several in one answer: each gets its line, none twice."""
    what = (
        "failed to create typed patch object: errors:\n"
        "  .spec.nope: field not declared in schema\n"
        "  .spec.template.spec.containers[0].image: expected string, got "
        "&value.valueUnstructured{Value:1}\n"
        "  .spec.nope: field not declared in schema"
    )

    parts = [
        line.removesuffix(": correct the manifest").split(": ", 2) for line in _explained(what, 500)
    ]

    image = "spec.template.spec.containers[0].image"
    assert [part[::2] for part in parts] == [
        ["f.yaml:5", "spec.nope is no field of Deployment in apps/v1"],
        ["f.yaml:10", f"{image}: expected string, got 1"],
    ]


def test_a_conflict_says_how_to_take_over() -> None:
    """The message names the field's owner; the fix names the flag."""
    conflicts = (
        Conflict(".spec.template.spec.containers[0].image", "argocd"),
        Conflict(".spec.replicas", "kube-controller-manager", "scale"),
    )

    lines = _explained("Apply failed with 2 conflicts", 409, conflicts=conflicts)

    web, image = "Deployment shop/web", conflicts[0].field
    fix = ": remove the field from the manifest, or take it over with --force-conflicts"
    assert [line.removesuffix(fix) for line in lines] == [
        f"f.yaml:10: {web}: {image} belongs to field manager argocd",
        f"f.yaml:5: {web}: .spec.replicas belongs to field manager kube-controller-manager (scale)",
    ]
    assert all(line.endswith(fix) for line in lines)


def test_other_refusals_keep_their_own_advice() -> None:
    """Missing permission is not the manifest's fault, but the object is named."""
    [line] = _explained("forbidden", 403, fix="ask for this permission")

    assert line == "f.yaml:1: Deployment shop/web: forbidden: ask for this permission"


def test_without_an_answer_the_error_is_about_the_cluster() -> None:
    """An unreachable cluster is not blamed on a manifest."""
    [web] = placed(DEPLOYMENT)
    error = ClusterError("https://c", "cannot be reached")

    assert explained(error, web) == [error]


def test_a_path_that_does_not_fit_the_manifest_is_no_obstacle() -> None:
    """The server blames an item by a key that the manifest does not have: the list is shown."""
    field = 'spec.template.spec.containers[name="x"].ports[containerPort=80,protocol="TCP"].a'

    [line] = _explained("Invalid value", causes=(Cause(field, ""),))
    assert line.startswith("f.yaml:")
    [line] = _explained("Invalid value", causes=(Cause('spec[name="x"][y="z"]', ""),))
    assert line.startswith("f.yaml:5")


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (Location("f.yaml", 7), "f.yaml:7: Secret shop/db: forbidden: ask"),
        ("Secret shop/db", "Secret shop/db: forbidden: ask"),
    ],
)
def test_a_deletion_that_is_refused_names_its_object_once(where: Location | str, line: str) -> None:
    """With the line of its manifest if it still has one."""
    error = ClusterError("DELETE /x", "forbidden", "ask", status=403)

    answer = explained_deletion(error, name_of("Secret", "db"), where)

    assert (str(answer), answer.status) == (line, 403)
