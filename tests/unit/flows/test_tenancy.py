"""The namespace of a slot: made with its labels, labelled later, never taken from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import ClusterError, CodexctlError
from codexctl_tasks.flows import deploy
from codexctl_tasks.flows.destroy import destroy
from codexctl_tasks.flows.plan import plan
from codexctl_tasks.settings import deploy_request
from tests.support.objects import yaml_of

if TYPE_CHECKING:
    from tests.support.stage import Stage

PLACE = ("Namespace", "", "shop-dev-3")
LABELS = {
    "codexctl/slot": "3",
    "codexctl/repo": "org.shop",
    "codexctl/stack": "shop.ai.3.shop-dev-3",
}


@pytest.fixture
def slot(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Return a stage with a stack that has slots."""
    monkeypatch.setenv("CODEXCTL_REPO", "org/shop")
    _write(stage)
    return stage


def _write(stage: Stage, *more: str) -> None:
    (stage.folder / "services.yaml").write_text(
        "project: shop\nservices:\n- {name: web, manifests: [{path: app.yaml}]}\n"
    )
    stage.write(yaml_of("ConfigMap", "a", "data: {k: v}"), *more)


def _deploy(stage: Stage, task: Any = deploy.apply, env: str = "ai", slot: str = "3") -> int:
    code: int = task(deploy_request(env=env, slot=slot), stage.outside)
    return code


def _labels(stage: Stage) -> dict[str, str]:
    labels = stage.cluster.objects[PLACE]["metadata"].get("labels") or {}
    return {name: value for name, value in labels.items() if name.startswith("codexctl/")}


def _existing(stage: Stage, **labels: str) -> None:
    stage.cluster.objects[PLACE] = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": "shop-dev-3",
            "uid": "u",
            "resourceVersion": "1",
            "labels": {f"codexctl/{name}": value for name, value in labels.items()},
        },
    }


@pytest.mark.parametrize("declared", [False, True])
def test_a_namespace_that_a_deploy_makes_says_whose_it_is(slot: Stage, declared: bool) -> None:
    """Declared by the stack or not: cleanup knows it again."""
    _write(slot, *([yaml_of("Namespace", "shop-dev-3")] if declared else []))

    assert _deploy(slot) == 0
    assert _labels(slot) == LABELS


def test_other_environments_have_no_slot(slot: Stage) -> None:
    """The namespace of staging is made as before."""
    assert _deploy(slot, env="staging", slot="") == 0

    assert "labels" not in slot.cluster.objects["Namespace", "", "shop-staging"]["metadata"]


def test_an_old_namespace_is_labelled_where_the_stack_was_applied(slot: Stage) -> None:
    """The first deploy finds a foreign one and leaves it so; the next knows that it is in use."""
    _existing(slot)

    assert _deploy(slot) == 0
    assert _labels(slot) == {}
    assert _deploy(slot) == 0
    assert _labels(slot) == LABELS


def test_the_repository_is_added_once_it_is_known(
    slot: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody at a laptop made the namespace; CI goes on."""
    monkeypatch.delenv("CODEXCTL_REPO")
    assert _deploy(slot) == 0
    assert "codexctl/repo" not in _labels(slot)

    monkeypatch.setenv("GITHUB_REPOSITORY", "Org/shop")
    assert _deploy(slot) == 0

    assert _labels(slot) == LABELS


def test_an_account_that_may_not_label_goes_on(slot: Stage) -> None:
    """It has no rights beyond its namespace; a warning says what that means."""
    _existing(slot)
    assert _deploy(slot) == 0
    slot.cluster.patch_refusals = [ClusterError("PATCH", "forbidden", status=403)]

    assert _deploy(slot) == 0

    assert "shop-dev-3: this account may not label it: cleanup will not delete it" in slot.shown


@pytest.mark.parametrize("task", [deploy.apply, deploy.apply_and_wait, plan, destroy])
@pytest.mark.parametrize(
    ("labels", "owner"),
    [
        ({"slot": "3", "repo": "org.other"}, "slot 3 of org.other"),
        ({"slot": "4", "repo": "org.shop"}, "slot 4 of org.shop"),
    ],
)
def test_the_namespace_of_another_slot_is_left_alone(
    slot: Stage, task: Any, labels: dict[str, str], owner: str
) -> None:
    """Two repositories whose patterns meet: one line, nothing changed."""
    _existing(slot, **labels)
    before = dict(slot.cluster.objects)

    with pytest.raises(CodexctlError) as caught:
        _deploy(slot, task)

    assert caught.value.exit_code == 4
    assert str(caught.value).startswith(
        f"Namespace shop-dev-3: belongs to {owner}, not to slot 3 of org.shop: "
    )
    assert slot.cluster.objects == before
