"""Render one Go template by itself, exactly as Go does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jinja2 import Template

from codexctl_tasks.stack.gotemplate.parser import parse
from codexctl_tasks.stack.gotemplate.runtime import install
from codexctl_tasks.stack.gotemplate.times import Time
from codexctl_tasks.stack.gotemplate.translation import translate
from codexctl_tasks.stack.gotemplate.values import with_string_maps
from codexctl_tasks.stack.limits import (
    BoundedEnvironment,
    Budget,
    budget_names,
    checked,
    count_turns,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def render(
    text: str,
    data: Any,
    *,
    file: str = "template",
    functions: Mapping[str, Callable[..., Any]] | None = None,
    strict: bool = False,
) -> str:
    """
    Render a template.

    Args:
        text: The template.
        data: What it calls ``.``, made of the types in `values`. In a plain dict, the string maps
            of a stack may be plain dicts as well.
        file: Its name in messages.
        functions: What it can call besides Go's own functions; None: what stacks can call.
        strict: Whether a missing value is an error where Go prints ``<no value>``.

    Raises:
        ConfigurationError: The syntax is wrong.
        GoTemplateError: The template fails.
        LimitError: It loops or grows beyond anything real.
    """
    data = with_string_maps(data)
    if functions is None:
        functions = _stack_functions(data)
    environment = BoundedEnvironment()
    tree = translate(parse(text, file, functions))
    count_turns(tree, joins=False)
    code = environment.compile(tree, name=file, filename=file)
    install(environment, data, functions, strict=strict)
    template = Template.from_code(environment, code, environment.make_globals(None))
    return checked(template.generate(budget_names(Budget())))


def _stack_functions(data: Any) -> Mapping[str, Callable[..., Any]]:
    # Imported here because these functions use the types of this package.
    from codexctl_tasks.stack.functions import functions

    variables = data.get("EnvMap") if isinstance(data, dict) else None
    return functions(variables or {}, Time.of(datetime.now(UTC)))
