"""
Go's `text/template`, rendered by Jinja2 with the same output byte for byte.

A template is parsed (`parse`), translated to a tree of Jinja2 (`translate`) and rendered in an
environment with what such a tree refers to (`install`); `render` does all of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from codexctl_tasks.stack.gotemplate.absence import GoTemplateError
    from codexctl_tasks.stack.gotemplate.parser import BUILTINS, parse
    from codexctl_tasks.stack.gotemplate.rendering import render
    from codexctl_tasks.stack.gotemplate.runtime import install
    from codexctl_tasks.stack.gotemplate.translation import translate

__all__ = ["BUILTINS", "GoTemplateError", "install", "parse", "render", "translate"]

_HOMES = {
    "BUILTINS": "parser",
    "GoTemplateError": "absence",
    "install": "runtime",
    "parse": "parser",
    "render": "rendering",
    "translate": "translation",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only then: a stack without Go templates starts sooner."""
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
