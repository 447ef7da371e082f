"""Random templates: mostly such as people write, with every kind of mistake mixed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.gotemplate.vocabulary import ANY, FUNCTIONS, SOUP, TEXTS, VALUES

if TYPE_CHECKING:
    from random import Random

_MOST_LOOPS = 2
"""Loops in loops; like the numbers, which are small, that is for templates to come to an end."""


class Writer:
    """Writes one template with the choices of a generator of random numbers."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._variables = ["$"]
        self._templates: list[str] = []
        self._loops = 0
        """How many loops a `break` could end."""
        self._nested = 0
        """How many loops are around this place, also those around a definition that is used."""
        self._left = random.choice([3, 6, 12, 40])
        """How many more blocks and parentheses it may open."""

    def template(self) -> str:
        """Write a template."""
        if self._chance(0.05):
            return self._soup()
        defined = [self._definition() for _ in range(self._random.choice([0, 0, 0, 1, 2]))]
        body = self._body(self._random.choice([1, 2, 3, 4]))
        parts = [*defined, body]
        self._random.shuffle(parts)
        text = "".join(parts)
        return self._damage(text) if self._chance(0.05) else text

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _soup(self) -> str:
        return "".join(self._random.choice(SOUP) for _ in range(self._random.randint(1, 12)))

    def _damage(self, text: str) -> str:
        """Drop, repeat or insert a little."""
        at = self._random.randint(0, len(text))
        cut = self._random.randint(0, 3)
        return text[:at] + self._random.choice(["", text[at : at + 2], *SOUP]) + text[at + cut :]

    def _definition(self) -> str:
        name = self._random.choice(["t", "u", "v", "w"])
        outer, self._variables = self._variables, ["$"]
        loops, self._loops = self._loops, 0
        self._nested = 1
        body = self._random.choice(["  \n", "\u00a0", self._body(2), self._body(2)])
        self._variables, self._loops, self._nested = outer, loops, 0
        self._templates.append(name)
        return self._action(f'define "{name}"') + body + self._action("end")

    def _body(self, depth: int) -> str:
        return "".join(self._piece(depth) for _ in range(self._random.randint(1, 4)))

    def _piece(self, depth: int) -> str:  # noqa: PLR0911 - one per kind
        choice = self._random.random()
        if choice < 0.3:
            return self._random.choice(TEXTS)
        if choice < 0.6 or depth <= 0 or self._left <= 0:
            return self._action(self._pipeline(depth))
        if choice < 0.68:
            return self._declaration(depth)
        if choice < 0.71:
            return self._random.choice(["{{/* c */}}", "{{- /* c */ -}}", "{{/**/}}"])
        if choice < 0.75:
            return self._include(depth)
        if choice < 0.78 and (self._loops or self._chance(0.03)):
            return self._action(self._random.choice(["break", "continue"]))
        return self._block(depth)

    def _action(self, inside: str) -> str:
        opening = self._random.choice(["{{", "{{", "{{ ", "{{- ", "{{-\n", "{{\t"])
        closing = self._random.choice(["}}", "}}", " }}", " -}}", "\n-}}", "\n}}"])
        return f"{opening}{inside}{closing}"

    def _declaration(self, depth: int) -> str:
        name = self._random.choice(["$x", "$y", "$z", "$x", "$"])
        sign = self._sign([name])
        text = self._action(f"{name} {sign} {self._pipeline(depth)}")
        self._variables.append(name)
        return text

    def _include(self, depth: int) -> str:
        names = self._templates if self._templates and self._chance(0.95) else ["t", "u"]
        if self._chance(0.3):
            self._left -= 1
            outer, self._variables = self._variables, ["$"]
            loops, self._loops = self._loops, 0
            body = self._body(depth - 1)
            self._variables, self._loops = outer, loops
            name = self._random.choice(["b", "c", "t"])
            block = self._action(f'block "{name}" {self._pipeline(depth)}')
            return block + body + self._action("end")
        argument = self._random.choice(["", f" {self._pipeline(depth)}"])
        return self._action(f'template "{self._random.choice(names)}"{argument}')

    def _block(self, depth: int) -> str:
        self._left -= 1
        known = len(self._variables)
        words = ["if", "if", "with", "range", "range"]
        word = self._random.choice(words if self._nested < _MOST_LOOPS else words[:3])
        text = self._action(f"{word} {self._condition(word, depth)}")
        self._loops += word == "range"
        self._nested += word == "range"
        text += self._body(depth - 1)
        self._loops -= word == "range"
        self._nested -= word == "range"
        if word != "range" and self._chance(0.2):
            text += self._action(f"else {word} {self._condition(word, depth)}")
            text += self._body(depth - 1)
        if self._chance(0.35):
            text += self._action("else") + self._body(depth - 1)
        del self._variables[known:]
        return text + self._action("end")

    def _condition(self, word: str, depth: int) -> str:
        pipeline = self._pipeline(depth)
        if word == "range" and self._chance(0.8):
            kind = self._random.choice(["list", "list", "map", "small"])
            pipeline = self._operand(kind, depth)
        if self._chance(0.6):
            return pipeline
        names = [self._random.choice(["$x", "$y", "$k"])]
        if word == "range" and self._chance(0.5):
            names.append(self._random.choice(["$e", "$x"]))
        sign = self._sign(names)
        self._variables += names
        return f"{', '.join(names)} {sign} {pipeline}"

    def _sign(self, names: list[str]) -> str:
        """Choose to assign only where that can work, or rarely."""
        known = all(name in self._variables for name in names) or self._chance(0.03)
        return self._random.choice([":=", "="]) if known else ":="

    def _pipeline(self, depth: int, kind: str = "any") -> str:
        if self._chance(0.7):
            return self._command(kind, depth)
        wanted = kind
        stages: list[str] = []
        for _ in range(self._random.choice([1, 1, 2])):
            name, kinds, _ = self._function(wanted)
            stages.append(" ".join([name, *(self._operand(each, depth) for each in kinds[:-1])]))
            wanted = kinds[-1]
        stages.append(self._command(wanted, depth))
        return self._random.choice([" | ", "|", " |\n"]).join(reversed(stages))

    def _function(self, kind: str) -> tuple[str, tuple[str, ...], str]:
        """Choose a function whose result is of a kind."""
        fitting = [each for each in FUNCTIONS if kind in ("any", each[2])]
        return self._random.choice(fitting or FUNCTIONS)

    def _command(self, kind: str, depth: int) -> str:
        choice = self._random.random()
        if choice < 0.4 or kind in ("time", "nothing", "map", "list", "float", "small"):
            return self._operand(kind, depth)
        if choice < 0.5:
            return self._printf(depth)
        if choice < 0.55:
            layout = self._random.choice(['"2006-01-02"', '"Jan _2 15:04:05.000"', "1", "`Mon`"])
            return f"{self._operand('time', 0)}.Format {layout}"
        name, kinds, _ = self._function(kind)
        arguments = [self._operand(each, depth) for each in kinds]
        if self._chance(0.02):
            arguments = arguments[1:] or ["1"]
        return self._random.choice([" ", " ", " ", "  ", "\n"]).join([name, *arguments])

    def _printf(self, depth: int) -> str:
        kinds = [self._random.choice(["string", "int", "float", "bool", "any"]) for _ in range(2)]
        verbs = {
            "string": ["%v", "%s", "%q", "%x", "%-6s|", "%6.2s"],
            "int": ["%v", "%d", "%5d", "%05d", "%x", "%c", "%q", "%+d"],
            "float": ["%v", "%.2f", "%6.1f", "%e", "%g"],
            "bool": ["%v", "%t", "%5t"],
            "any": ["%v", "%v", "%s", "%d", "%%", "%+v", "%T", "%x"],
        }
        layout = "".join(self._random.choice(verbs[kind]) for kind in kinds)
        arguments = [self._operand(kind, depth) for kind in kinds]
        if self._chance(0.05):
            arguments = arguments[1:]
        return " ".join([f'printf "{layout}"', *arguments])

    def _operand(self, kind: str, depth: int) -> str:
        if kind == "any" or self._chance(0.04):
            kind = self._random.choice(ANY)
        if self._chance(0.004):
            kind = "mistake"
        choice = self._random.random()
        if choice < 0.15:
            return self._variable()
        if choice < 0.7 or depth <= 0 or self._left <= 0:
            return self._random.choice(VALUES[kind])
        self._left -= 1
        declared = ""
        if self._chance(0.06):
            declared = f"{self._random.choice(['$x', '$p'])} := "
        suffix = self._random.choice([".x", ".Year", ".Env"]) if self._chance(0.02) else ""
        operand = f"({declared}{self._pipeline(depth - 1, kind)}){suffix}"
        self._variables += [declared[:2]] if declared else []
        return operand

    def _variable(self) -> str:
        known = self._variables if self._chance(0.99) else ["$unknown"]
        field = self._random.choice([".x", ".Env"]) if self._chance(0.04) else ""
        return self._random.choice(known) + field if known[1:] else ".Env"
