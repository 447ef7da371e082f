"""Translate a Go template into one of Jinja2, as a tree: blocks stay blocks, actions calls."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from jinja2 import nodes

from codexctl_tasks.stack.gotemplate.expressions import Expressions, Locals, call, load
from codexctl_tasks.stack.gotemplate.syntax import (
    Action,
    Body,
    Break,
    Field,
    If,
    Include,
    Node,
    Pipeline,
    Range,
    Template,
    Text,
    With,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DATA: Final = "go_data"
"""The name under which the template finds its data."""
_DOT = "_dot"
_SCOPE = "_scope"


def translate(template: Template) -> nodes.Template:
    """
    Return the template of Jinja2 that does the same.

    Each definition becomes a macro that takes the data. All that Jinja2 does in another way is
    left to the functions of `runtime.install`, which the environment must have got.
    """
    included = {node.name for body in template.definitions.values() for node in _includes(body)}
    used = [name for name in template.definitions if name in included]
    macros = {name: f"_template_{number}" for number, name in enumerate(used)}
    translator = _Translator(macros)
    body: list[nodes.Node] = [
        translator.macro(macro, template.definitions[name]) for name, macro in macros.items()
    ]
    main = template.definitions[template.name]
    body += translator.entry(main, load(DATA, 1), 1)
    tree = nodes.Template(body, lineno=1)
    # Jinja2 searches a whole tree three times for blocks and imports, of which there are none here:
    # a tenth of the time that a manifest takes.
    tree.__dict__["find_all"] = lambda _: iter(())
    return tree


class _Translator:
    """Translates blocks; names that it makes up begin with an underscore and end in a number."""

    def __init__(self, macros: Mapping[str, str]) -> None:
        self._macros = macros
        self._numbers = count(1)
        self._local = Locals()
        self._expressions = Expressions(_SCOPE, self._local)

    def macro(self, name: str, body: Body) -> nodes.Macro:
        """Translate a definition."""
        line = body[0].line if body else 1
        parameter = nodes.Name("_data", "param", lineno=line)
        inner = self.entry(body, load("_data", line), line)
        return nodes.Macro(name, [parameter], [], inner, lineno=line)

    def entry(self, body: Body, data: nodes.Expr, line: int) -> list[nodes.Node]:
        """Translate a whole template: the data is what `$` and the dot begin with."""
        return [
            self._assign(_DOT, data, line),
            self._assign(_SCOPE, call("go_scope", line, self._local[_DOT]), line),
            *self._body(body, _DOT),
        ]

    def _body(self, body: Body, dot: str) -> list[nodes.Node]:
        merged: list[nodes.Node] = []
        for made in (made for node in body for made in self._node(node, dot)):
            last = merged[-1] if merged else None
            if isinstance(made, nodes.Output) and isinstance(last, nodes.Output):
                last.nodes.extend(made.nodes)  # Jinja2 compiles one long output faster
            else:
                merged.append(made)
        return merged

    def _node(self, node: Node, dot: str) -> list[nodes.Node]:
        if isinstance(node, Text):
            return [_output(nodes.TemplateData(node.text, lineno=node.line))]
        if isinstance(node, Action):
            return [self._action(node, dot)]
        if isinstance(node, Include):
            return [_output(self._include(node, dot))]
        if isinstance(node, If | With | Range):
            return self._with_own_variables(node, dot)
        jump = nodes.Break if isinstance(node, Break) else nodes.Continue
        return [jump(lineno=node.line)]

    def _action(self, node: Action, dot: str) -> nodes.Stmt:
        if (names := _plain_field(node.pipeline)) is not None:
            consts = [nodes.Const(name, lineno=node.line) for name in names]
            return _output(call("go_text_of", node.line, self._local[dot], *consts))
        value = self._expressions.pipeline(node.pipeline, dot)
        if node.pipeline.variables:
            return nodes.ExprStmt(value, lineno=node.line)
        source = nodes.Const(node.pipeline.source, lineno=node.line)
        return _output(call("go_text", node.line, value, source))

    def _include(self, node: Include, dot: str) -> nodes.Expr:
        macro = self._macros.get(node.name)
        if macro is None:
            problem = f"the template {node.name!r} is not defined"
            return call("go_fail", node.line, nodes.Const(problem, lineno=node.line))
        arguments = [self._expressions.pipeline(node.pipeline, dot)] if node.pipeline else []
        return call("go_include", node.line, load(macro, node.line), *arguments)

    def _with_own_variables(self, node: If | With | Range, dot: str) -> list[nodes.Node]:
        """Translate a block; the variables that are declared in it are gone behind it."""
        if isinstance(node, If):
            inner: list[nodes.Node] = [self._if(node, dot)]
        elif isinstance(node, With):
            inner = self._with(node, dot)
        else:
            inner = self._range(node, dot)
        if not _declares(node):
            return inner
        mark, line = self._name("mark"), node.line
        keep = self._assign(mark, call("go_mark", line, self._local[_SCOPE]), line)
        forget = call("go_forget", line, self._local[_SCOPE], self._local[mark])
        return [keep, *inner, nodes.ExprStmt(forget, lineno=line)]

    def _if(self, node: If, dot: str) -> nodes.If:
        first, *others = [
            nodes.If(
                call("go_true", branch.line, self._expressions.pipeline(branch.condition, dot)),
                self._body(branch.body, dot),
                [],
                [],
                lineno=branch.line,
            )
            for branch in node.branches
        ]
        first.elif_ = others
        first.else_ = self._body(node.orelse, dot)
        return first

    def _with(self, node: With, dot: str) -> list[nodes.Node]:
        inner, line = self._name("dot"), node.line
        value = self._expressions.pipeline(node.pipeline, dot)
        test = call("go_true", line, self._local[inner])
        body, orelse = self._body(node.body, inner), self._body(node.orelse, dot)
        return [self._assign(inner, value, line), nodes.If(test, body, [], orelse, lineno=line)]

    def _range(self, node: Range, dot: str) -> list[nodes.Node]:
        inner, items, line = self._name("dot"), self._name("items"), node.line
        variables = node.pipeline.variables
        value = self._expressions.pipeline(node.pipeline, dot)
        found = call("go_items", line, value, nodes.Const(len(variables), lineno=line))
        # Not the `else` of Jinja2's loop, which runs as well after a `break` in the first round.
        before = [self._assign(items, found, line)] if node.orelse else []
        each = call(
            "go_loop",
            line,
            self._local[_SCOPE],
            self._local[items] if node.orelse else found,
            nodes.Const(node.pipeline.assigns, lineno=line),
            *(nodes.Const(name, lineno=line) for name in variables),
        )
        target = self._local[inner]
        body = self._body(node.body, inner)
        loop = nodes.For(target, each, body, [], None, False, lineno=line)  # noqa: FBT003
        if not node.orelse:
            return [loop]
        orelse = self._body(node.orelse, dot)
        return [*before, nodes.If(self._local[items], [loop], [], orelse, lineno=line)]

    def _assign(self, name: str, value: nodes.Expr, line: int) -> nodes.Assign:
        return nodes.Assign(self._local[name], value, lineno=line)

    def _name(self, purpose: str) -> str:
        return f"_{purpose}_{next(self._numbers)}"


def _output(value: nodes.Expr) -> nodes.Output:
    return nodes.Output([value], lineno=value.lineno)


def _plain_field(pipeline: Pipeline) -> tuple[str, ...] | None:
    """Return the names of a pipeline that is nothing but ``.A.B``: most are, so they go first."""
    if pipeline.variables or len(pipeline.commands) > 1 or pipeline.commands[0].arguments:
        return None
    operand = pipeline.commands[0].operand
    return operand.names if isinstance(operand, Field) else None


def _declares(node: Node) -> bool:
    """Say whether anything in a block may declare a variable."""
    return any(pipeline.declares() for inner in _walk((node,)) for pipeline in _pipelines(inner))


def _walk(body: Body) -> Iterable[Node]:
    """Yield all nodes of a body, and of the blocks in it."""
    for node in body:
        yield node
        if isinstance(node, If):
            for branch in node.branches:
                yield from _walk(branch.body)
        if isinstance(node, With | Range):
            yield from _walk(node.body)
        if isinstance(node, If | With | Range):
            yield from _walk(node.orelse)


def _includes(body: Body) -> Iterable[Include]:
    return (node for node in _walk(body) if isinstance(node, Include))


def _pipelines(node: Node) -> Iterable[Pipeline]:
    if isinstance(node, If):
        return [branch.condition for branch in node.branches]
    if isinstance(node, Action | With | Range):
        return [node.pipeline]
    return [node.pipeline] if isinstance(node, Include) and node.pipeline else []
