"""Desired objects and where each was written."""

from __future__ import annotations

import pytest

from codexctl_tasks.errors import CombinedError
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.manifests import (
    Manifest,
    namespace_manifest,
    read_manifests,
    without_duplicates,
)

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n"


def _read(text: str, namespace: str = "") -> list[Manifest]:
    return list(read_manifests(read_documents(text, "f.yaml"), namespace=namespace))


def _refused(text: str) -> list[str]:
    with pytest.raises(CombinedError) as caught:
        _read(text)
    assert caught.value.exit_code == 3
    return str(caught.value).splitlines()


def test_objects_get_the_namespace_they_do_not_name() -> None:
    """A namespace is filled in where none is named, except for cluster-wide kinds."""
    objects = _read(
        f"{CONFIG % 'a'}---\n{CONFIG % 'b'}  namespace: other\n---\n"
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: c}\n",
        namespace="shop",
    )

    assert [str(o.name) for o in objects] == [
        "ConfigMap shop/a",
        "ConfigMap other/b",
        "ClusterRole c",
    ]
    assert [o.body["metadata"].get("namespace") for o in objects] == ["shop", "other", None]


def test_without_a_namespace_nothing_is_filled_in() -> None:
    """Objects of infrastructure stay as they are written."""
    [manifest] = _read(CONFIG % "a")

    assert manifest.name.namespace == ""
    assert manifest.body["metadata"] == {"name": "a"}
    assert manifest.name.short == str(manifest.name) == "ConfigMap a"


def test_a_list_becomes_single_objects_with_lines_of_their_own() -> None:
    """``kubectl get -o yaml`` output can be applied, and mistakes in it are located."""
    text = (
        "apiVersion: v1\nkind: List\nitems:\n"
        "- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n"
        "- apiVersion: v1\n  kind: Secret\n  metadata:\n    name: b\n  data:\n    k: dg==\n"
    )

    first, second = _read(text, namespace="shop")

    assert [str(m.name) for m in (first, second)] == ["Secret shop/a", "Secret shop/b"]
    assert (str(first.location), str(second.location)) == ("f.yaml:4", "f.yaml:7")
    assert str(second.locate(("data", "k"))) == "f.yaml:12"
    assert _read("kind: List\nitems:\n") == []


MISTAKES = {
    "a list": ("- 1\n", "is not a Kubernetes object"),
    "a text": ("hello\n", "is not a Kubernetes object"),
    "no apiVersion": ("kind: A\nmetadata: {name: a}\n", "apiVersion is missing"),
    "no kind": ("apiVersion: v1\nmetadata: {name: a}\n", "kind is missing"),
    "no name": ("apiVersion: v1\nkind: A\nmetadata: {}\n", "metadata.name is missing"),
    "name is a number": (CONFIG % "5", "metadata.name is 5, not a text: put it in quotes"),
    "generateName": (
        "apiVersion: v1\nkind: A\nmetadata: {generateName: a-}\n",
        "generateName, which cannot be applied twice",
    ),
    "metadata": ("apiVersion: v1\nkind: A\nmetadata: x\n", "metadata is not a mapping"),
    "namespace is a number": (f"{CONFIG % 'a'}  namespace: 5\n", "metadata.namespace"),
    "annotations": (f"{CONFIG % 'a'}  annotations: x\n", "annotations"),
    "wave": (f"{CONFIG % 'a'}  annotations: {{codexctl/wave: x}}\n", "is no whole number"),
    "empty wave": (f"{CONFIG % 'a'}  annotations: {{codexctl/wave: }}\n", "is no whole number"),
    "wave without quotes": (f"{CONFIG % 'a'}  annotations: {{codexctl/wave: 1}}\n", "in quotes"),
    "half a wave": (f"{CONFIG % 'a'}  annotations: {{codexctl/wave: 1.5}}\n", "is no whole number"),
    "items": ("apiVersion: v1\nkind: List\nitems: 5\n", "items is not a list"),
    "item": ("apiVersion: v1\nkind: List\nitems: [null]\n", "is not a Kubernetes object"),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES)
def test_what_is_no_object_is_a_mistake_of_the_file(text: str, words: str) -> None:
    """Every malformed manifest is one line with its place, never an internal error."""
    [line] = _refused(text)

    assert line.startswith("f.yaml:")
    assert words in line


def test_all_mistakes_of_a_file_are_reported() -> None:
    """The second mistake is told along with the first."""
    lines = _refused(f"kind: A\n---\n{CONFIG % 'fine'}---\n- 1\n")

    assert [line.split(": ")[0] for line in lines] == ["f.yaml:1", "f.yaml:8"]


def test_waves() -> None:
    """The annotation is a text with a whole number, negative ones too; 0 without it."""
    annotation = "  annotations: {codexctl/wave: %s}\n"
    text = "---\n".join(
        [CONFIG % "a", CONFIG % "b" + annotation % '"2"', CONFIG % "c" + annotation % '"-1"']
    )

    assert [m.wave for m in _read(text)] == [0, 2, -1]


def test_the_same_object_twice_is_refused_naming_both_places() -> None:
    """The second would silently overwrite the first; two items may share a file though."""
    objects = _read(
        f"{CONFIG % 'a'}---\n{CONFIG % 'b'}---\n{CONFIG % 'a'}data: {{}}\n", namespace="shop"
    )

    assert without_duplicates([*objects[:2], objects[0]]) == tuple(objects[:2])
    with pytest.raises(CombinedError, match=r"first at f\.yaml:1: remove one of them") as caught:
        without_duplicates(objects)
    assert str(caught.value).startswith("f.yaml:11: ConfigMap shop/a is declared twice")


def test_the_implied_namespace_names_its_origin() -> None:
    """A refusal of the namespace points at the file that implies it."""
    manifest = namespace_manifest("shop", "services.yaml")

    assert str(manifest.name) == "Namespace shop"
    assert str(manifest.locate(("metadata",))) == "services.yaml"


@pytest.mark.parametrize("name", ["..", ".", "web/scale", "../../kube-system/secrets/x", "a%2Fb"])
def test_a_name_cannot_lead_to_another_object(name: str) -> None:
    """A branch name with a slash in metadata.name does not become another URL."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: '{name}'}}\n"

    with pytest.raises(CombinedError, match="is no name of an object"):
        list(read_manifests(read_documents(text, "f.yaml")))
