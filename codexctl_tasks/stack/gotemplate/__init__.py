"""
Go's `text/template`, rendered by Jinja2 with the same output byte for byte.

A template is parsed (`parse`), translated to a tree of Jinja2 (`translate`) and rendered with the
names that such a tree refers to (`names`); `render` does all of it.
"""

from codexctl_tasks.stack.gotemplate.absence import GoTemplateError
from codexctl_tasks.stack.gotemplate.parser import BUILTINS, parse
from codexctl_tasks.stack.gotemplate.rendering import render
from codexctl_tasks.stack.gotemplate.runtime import names
from codexctl_tasks.stack.gotemplate.translate import translate

__all__ = ["BUILTINS", "GoTemplateError", "names", "parse", "render", "translate"]
