"""Which steps of hooks take part in a run, rendered, each with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import CombinedError
from codexctl_tasks.stack.steps import Point, steps_of

if TYPE_CHECKING:
    from tests.support.project import Project

STACK = """\
project: shop
hooks:
  beforeAll:
    - name: greet
      run: echo "{{ .Env }} $TOKEN"
  afterAll:
    - use: sleep
      always: true
      timeout: 1m30s
      with: { duration: 3s }
infrastructure:
  - name: db
    when: '{{ ne .Env "dev" }}'
    hooks:
      afterApply:
        - run: echo db
services:
  - name: web
    hooks:
      beforeApply:
        - run: echo web
      afterDestroy:
        - run: echo gone
          continueOnError: true
  - name: api
    hooks:
      beforeApply:
        - run: echo api
"""


def names(project: Project, stack: str = STACK, **given: str) -> list[str]:
    """Return the steps of a stack as they are called."""
    return [str(step) for step in steps_of(project.load(stack, **given))]


def test_all_steps_in_the_order_of_the_file(project: Project) -> None:
    """Those of the stack first, then infrastructure, then services."""
    assert names(project) == [
        "beforeAll step 'greet'",
        "afterAll step 'sleep'",
        "afterApply step '0' of infrastructure db",
        "beforeApply step '0' of service web",
        "afterDestroy step '0' of service web",
        "beforeApply step '0' of service api",
    ]


def test_a_step_is_rendered_with_its_place(project: Project) -> None:
    """Templates are rendered, what bash shall see is left alone, the line is known."""
    first, second, *_, gone, _ = steps_of(project.load(STACK))

    assert first.script == 'echo "staging $TOKEN"'
    assert (first.point, first.item, str(first.location)) == (
        Point.BEFORE_ALL,
        "",
        "services.yaml:4",
    )
    assert (first.timeout_s, first.continues_on_error, first.is_always) == (600.0, False, False)
    assert (second.use, second.given, second.timeout_s) == ("sleep", {"duration": "3s"}, 90.0)
    assert second.is_always
    assert str(second.locate(("duration",))) == "services.yaml:10"
    assert (gone.point, gone.continues_on_error) == (Point.AFTER_DESTROY, True)


def test_items_that_are_filtered_out_have_no_steps(project: Project) -> None:
    """`--only-services web` runs the hooks of web, and of no other service."""
    assert [name for name in names(project, only_services="web") if "service" in name] == [
        "beforeApply step '0' of service web",
        "afterDestroy step '0' of service web",
    ]


def test_items_that_do_not_take_part_have_no_steps(project: Project) -> None:
    """`when` of an item holds for its hooks."""
    assert not [name for name in names(project, env="dev") if "infrastructure" in name]


@pytest.mark.parametrize(
    ("when", "runs"),
    [
        ("true", True),
        ("'{{ eq .Env \"staging\" }}'", True),
        ("off", True),
        ("", True),
        ("false", False),
        ("0", False),
        (" No ", False),
        ('""', False),
        ("'{{ if eq .Env \"dev\" }}yes{{ end }}'", False),
    ],
)
def test_when_of_a_step(project: Project, when: str, *, runs: bool) -> None:
    """Other than with items, a condition that renders to nothing means no; an absent one yes."""
    stack = f"project: shop\nhooks:\n  beforeAll:\n    - run: echo\n      when: {when}\n"

    assert bool(names(project, stack)) is runs


def test_every_mistake_in_a_template_is_found_before_anything_runs(project: Project) -> None:
    """The step that comes last is checked like the first."""
    stack = (
        "project: shop\nversions: {v: '{{ \"{{ nosuch }}\" }}'}\n"
        "hooks:\n"
        "  beforeAll:\n    - run: echo '{{ \"{{\" }} nosuch }}'\n"
        "  afterAll:\n    - when: '{{ \"{{\" }} other }}'\n      run: echo\n"
    )

    with pytest.raises(CombinedError) as caught:
        names(project, stack)

    first, second = map(str, caught.value.problems)
    assert first.startswith("services.yaml:5: hooks.beforeAll[0].run: ")
    assert second.startswith("services.yaml:7: hooks.afterAll[0].when: ")


def test_values_from_outside_are_no_templates(project: Project) -> None:
    """The name of a branch cannot print secrets from a script."""
    stack = 'project: shop\nhooks:\n  beforeAll:\n    - run: echo \'{{ envOr "BRANCH" "main" }}\'\n'

    with pytest.raises(CombinedError, match="holds a value from outside that looks like a templ"):
        names(project, stack, vars="BRANCH={{ .EnvMap.TOKEN }}")


def test_doubtful_steps_are_warned_of(project: Project) -> None:
    """Steps that do nothing, or not what they say."""
    stack = (
        "project: shop\nhooks:\n  beforeAll:\n"
        "    - { name: empty }\n"
        "    - { run: echo, use: sleep }\n"
        "    - { run: echo, always: yes }\n"
    )

    assert project.desired(stack).warnings[:3] == (
        "services.yaml:4: hooks.beforeAll[0] does nothing",
        "services.yaml:5: hooks.beforeAll[1] has both run and use: run wins",
        "services.yaml:6: hooks.beforeAll[2] has always, which means something in afterAll only",
    )
    assert names(project, stack) == ["beforeAll step '1'", "beforeAll step '2'"]
