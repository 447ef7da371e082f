"""Parse a Go template: text, actions, blocks, and the templates that it defines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from codexctl_tasks.stack.gotemplate.lexer import Kind, Token
from codexctl_tasks.stack.gotemplate.literals import unquote
from codexctl_tasks.stack.gotemplate.pipelines import Names, PipelineParser
from codexctl_tasks.stack.gotemplate.syntax import (
    Action,
    Body,
    Branch,
    Break,
    Continue,
    If,
    Include,
    Node,
    Range,
    Template,
    Text,
    With,
)
from codexctl_tasks.stack.gotemplate.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

BUILTINS: Final = frozenset(
    "and call eq ge gt html index js le len lt ne not or print printf println slice"  # noqa: SIM905
    " urlquery".split()
)
_DEEPEST = 40
"""Blocks in blocks: Python's own compiler takes no more than 100 levels of indentation."""
_MOST_LOOPS = 18
"""Loops in loops: Python's own compiler takes no more than 20."""
_BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""What Go counts as white space outside of actions: other characters than `str.strip` drops."""


def parse(text: str, file: str, functions: Collection[str] = ()) -> Template:
    """
    Parse a template.

    Args:
        text: The template.
        file: Its name in messages, and as a template among those that it defines.
        functions: Names that it can call besides Go's own functions.

    Raises:
        ConfigurationError: The syntax is wrong, or a function or variable is unknown, even where
            it would not be reached.
    """
    definitions: dict[str, Body] = {}
    tokens = Tokens(text, file)
    parser = _Parser(tokens, Names(BUILTINS.union(functions)), definitions)
    body = parser.template()
    _add_definition(definitions, file, body, tokens, 1)
    return Template(file, definitions)


class _Parser:
    """Parses one template; a definition inside it gets a parser of its own."""

    def __init__(
        self, tokens: Tokens, names: Names, definitions: dict[str, Body], depth: int = 0
    ) -> None:
        self._tokens = tokens
        self._names = names
        self._definitions = definitions
        self._depth = depth
        self._pipelines = PipelineParser(tokens, names)
        self._keywords: dict[str, Callable[[Token], Node]] = {
            "block": self._defining_include,
            "break": self._jump,
            "continue": self._jump,
            "if": self._if,
            "range": self._range,
            "template": self._include,
            "with": self._with,
        }

    def template(self) -> Body:
        """Parse a whole file; only here templates can be defined."""
        body: list[Node] = []
        while (token := self._tokens.peek()).kind is not Kind.END:
            if token.kind is Kind.TEXT:
                body.append(self._text())
            elif self._tokens.at_keyword("define", distance=1):
                self._definition()
            elif self._tokens.at_keyword("end", "else", distance=1):
                word = self._tokens.peek(1)
                raise self._tokens.failure(
                    f"`{word.text}` without a block that it could end", word.line
                )
            else:
                body.append(self._action())
        return tuple(body)

    def _text(self) -> Text:
        token = self._tokens.take()
        return Text(token.line, token.text)

    def _definition(self) -> None:
        self._tokens.take()
        word = self._tokens.take()
        name = self._template_name("define")
        self._tokens.expect(Kind.CLOSE, "define")
        self._define(name, word)

    def _define(self, name: str, word: Token) -> None:
        """Parse the body of a definition; it sees none of the variables around it."""
        names = Names(self._names.functions)
        inner = _Parser(self._tokens, names, self._definitions, self._depth)
        body = inner.block(word)
        inner.end(word)
        _add_definition(self._definitions, name, body, self._tokens, word.line)

    def block(self, word: Token) -> Body:
        """Parse up to the ``end`` or ``else`` of the block that *word* opens; it is not taken."""
        self._depth += 1
        if self._depth > _DEEPEST or self._names.loops > _MOST_LOOPS:
            raise self._tokens.failure(
                f"more than {_DEEPEST} blocks, or {_MOST_LOOPS} loops, inside each other",
                word.line,
                "move some of them into a template of their own with define",
            )
        body: list[Node] = []
        while (token := self._tokens.peek()).kind is not Kind.END:
            if token.kind is Kind.TEXT:
                body.append(self._text())
            elif self._tokens.at_keyword("end", "else", distance=1):
                self._depth -= 1
                return tuple(body)
            else:
                body.append(self._action())
        raise self._tokens.failure(f"`{word.text}` has no `end`", word.line, "add {{ end }}")

    def end(self, word: Token) -> None:
        """Parse the ``end`` of the block that *word* opens."""
        self._tokens.expect(Kind.OPEN, "a block")
        token = self._tokens.take()
        if token.text != "end":
            raise self._tokens.failure(f"`{word.text}` cannot have this `else`", token.line)
        self._tokens.expect(Kind.CLOSE, "end")

    def _action(self) -> Node:
        self._tokens.take()
        token = self._tokens.peek()
        if token.kind is not Kind.KEYWORD:
            return Action(token.line, self._pipelines.pipeline("an action"))
        self._tokens.take()
        if token.text not in self._keywords:  # define, anywhere but at the top
            raise self._tokens.failure(
                f"`{token.text}` cannot stand here", token.line, "put it outside of all blocks"
            )
        return self._keywords[token.text](token)

    def _if(self, word: Token) -> If:
        known = len(self._names.variables)
        branches = [self._branch(word)]
        orelse: Body = ()
        while self._at_else("if"):
            branches.append(self._branch(self._tokens.take()))
        if self._tokens.at_keyword("else", distance=1):
            orelse = self._else(word)
        self.end(word)
        del self._names.variables[known:]
        return If(word.line, tuple(branches), orelse)

    def _branch(self, word: Token) -> Branch:
        condition = self._pipelines.pipeline("if")
        return Branch(word.line, condition, self.block(word))

    def _with(self, word: Token) -> With:
        known = len(self._names.variables)
        pipeline = self._pipelines.pipeline("with")
        body = self.block(word)
        orelse: Body = ()
        if self._at_else("with"):
            self._depth += 1
            orelse = (self._with(self._tokens.take()),)
            self._depth -= 1
        else:
            if self._tokens.at_keyword("else", distance=1):
                orelse = self._else(word)
            self.end(word)
        del self._names.variables[known:]
        return With(word.line, pipeline, body, orelse)

    def _range(self, word: Token) -> Range:
        known = len(self._names.variables)
        pipeline = self._pipelines.pipeline("range")
        self._names.loops += 1
        body = self.block(word)
        self._names.loops -= 1
        orelse: Body = ()
        if self._tokens.at_keyword("else", distance=1):
            orelse = self._else(word)
        self.end(word)
        del self._names.variables[known:]
        return Range(word.line, pipeline, body, orelse)

    def _at_else(self, word: str) -> bool:
        """Take the ``else`` of an ``else if`` or ``else with``; leave any other."""
        if not self._tokens.at_keyword("else", distance=1):
            return False
        if not self._tokens.at_keyword(word, distance=2):
            return False
        self._tokens.take()
        self._tokens.take()
        return True

    def _else(self, word: Token) -> Body:
        self._tokens.take()
        self._tokens.take()
        self._tokens.expect(Kind.CLOSE, f"the else of {word.text}")
        return self.block(word)

    def _include(self, word: Token) -> Include:
        name = self._template_name("template")
        if self._tokens.peek().kind is Kind.CLOSE:
            self._tokens.take()
            return Include(word.line, name, None)
        return Include(word.line, name, self._pipelines.pipeline("template"))

    def _defining_include(self, word: Token) -> Include:
        name = self._template_name("block")
        pipeline = self._pipelines.pipeline("block")
        self._define(name, word)
        return Include(word.line, name, pipeline)

    def _template_name(self, context: str) -> str:
        token = self._tokens.expect(Kind.STRING, f"{context}, which needs a name in quotes")
        return self._tokens.unescape(unquote, token)

    def _jump(self, word: Token) -> Break | Continue:
        self._tokens.expect(Kind.CLOSE, word.text)
        if not self._names.loops:
            raise self._tokens.failure(f"`{word.text}` outside of a range", word.line)
        return Break(word.line) if word.text == "break" else Continue(word.line)


def _add_definition(
    definitions: dict[str, Body], name: str, body: Body, tokens: Tokens, line: int
) -> None:
    """Define a template; blank ones neither replace another nor stand in its way."""
    if name not in definitions or _is_blank(definitions[name]):
        definitions[name] = body
    elif not _is_blank(body):
        raise tokens.failure(f"the template {name!r} is defined twice", line, "rename one of them")


def _is_blank(body: Body) -> bool:
    return all(isinstance(node, Text) and not node.text.strip(_BLANKS) for node in body)
