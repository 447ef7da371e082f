"""What a Dockerfile depends on (pure): the images of its stages, and whose files it copies."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from codexctl_tasks.errors import ConfigurationError, Location
from codexctl_tasks.images.instructions import expand, read_dockerfile
from codexctl_tasks.references import Reference, parse_reference

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from codexctl_tasks.images.instructions import Instruction

SCRATCH = "scratch"
"""The image that is empty; no registry has it."""
_NAMED_ARGUMENT = re.compile(r"([A-Za-z_]\w*)(?:=(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Needed:
    """An image that a build pulls."""

    reference: Reference
    """With tag or digest, not both."""
    location: Location
    """Where it is named for the first time."""
    is_frontend: bool = False
    """It reads the Dockerfile, and only for builders that know ``# syntax=``."""


@dataclass(slots=True)
class _Stage:
    name: str
    """In small letters; empty: it has none."""
    images: list[Needed] = field(default_factory=list)
    stages: list[int] = field(default_factory=list)
    """Numbers of the earlier stages that it needs."""


def needed_images(
    text: str,
    file: str,
    *,
    arguments: Mapping[str, str],
    contexts: Collection[str] = (),
    platform: str = "",
) -> tuple[Needed, ...]:
    """
    Return the images that a build pulls, each once; only stages count that the last one needs.

    Args:
        text: Of the Dockerfile.
        file: What messages call it.
        arguments: Build arguments.
        contexts: Names of named contexts, which take the place of stages and images.
        platform: For which it is built, such as ``linux/amd64``.

    Raises:
        ConfigurationError: The first mistake, with its line.
    """
    source = read_dockerfile(text, file)
    reader = _Reader(arguments, contexts, platform)
    for instruction in source.instructions:
        reader.read(instruction)
    if not reader.stages:
        raise ConfigurationError(file, "has no FROM", "begin with FROM and an image")
    found: dict[Reference, Needed] = {}
    for needed in reader.needed():
        found.setdefault(needed.reference, needed)
    if source.syntax:
        frontend = replace(_needed(source.syntax, Location(file, 1)), is_frontend=True)
        found.setdefault(frontend.reference, frontend)
    return tuple(found.values())


def pulled(reference: Reference) -> Reference:
    """Return what a builder asks for: by digest, else by tag, which may be understood."""
    if reference.digest:
        return reference.with_digest(reference.digest)
    return reference.with_tag(reference.tag or "latest")


class _Reader:
    """Reads a Dockerfile instruction by instruction."""

    def __init__(
        self, arguments: Mapping[str, str], contexts: Collection[str], platform: str
    ) -> None:
        self.stages: list[_Stage] = []
        self._arguments = arguments
        self._contexts = {_context_key(name) for name in contexts}
        self._globals = _platform_arguments(platform)

    def read(self, instruction: Instruction) -> None:
        if instruction.keyword == "FROM":
            self._begin_stage(instruction)
        elif instruction.keyword == "ARG" and not self.stages:
            self._declare(instruction)
        elif self.stages:
            for name in _sources(instruction):
                self._need(self.stages[-1], name, instruction)

    def needed(self) -> Iterator[Needed]:
        """Yield what the last stage needs, in the order of the file."""
        waiting, seen = [len(self.stages) - 1], set[int]()
        while waiting:
            number = waiting.pop()
            name = self.stages[number].name
            if number not in seen and not (name and _context_key(name) in self._contexts):
                seen.add(number)
                waiting += self.stages[number].stages
        for number in sorted(seen):
            yield from self.stages[number].images

    def _declare(self, instruction: Instruction) -> None:
        """Remember arguments that stand before the first FROM: only those count there."""
        for word in instruction.words:
            found = _NAMED_ARGUMENT.fullmatch(word)
            if found is None:
                raise instruction.error(f"ARG {word} is no name", "write ARG NAME=value")
            name, default = found.groups()
            if name in self._arguments:
                self._globals[name] = self._arguments[name]
            elif default is not None:
                self._globals[name] = self._expand(default, instruction)

    def _begin_stage(self, instruction: Instruction) -> None:
        words = instruction.words
        if len(words) not in (1, 3) or (len(words) > 1 and words[1].upper() != "AS"):
            raise instruction.error("FROM is incomplete", "write FROM IMAGE or FROM IMAGE AS NAME")
        image = self._expand(words[0], instruction)
        if not image:
            raise instruction.error(f"FROM {words[0]} names no image", "give the build argument")
        stage = _Stage(words[2].lower() if len(words) > 1 else "")
        earlier = self._stage_named(image)
        if earlier is not None:
            stage.stages.append(earlier)
        else:
            self._need_image(stage, image, instruction)
        self.stages.append(stage)

    def _need(self, stage: _Stage, name: str, instruction: Instruction) -> None:
        """Remember whose files a stage copies or mounts: a stage, a named context or an image."""
        if "$" in name:
            what = f"{instruction.keyword} cannot take files from a variable"
            raise instruction.error(what, f"add FROM {name} AS NAME and copy from NAME")
        number = int(name) if name.isdecimal() else self._stage_named(name)
        if number is None:
            self._need_image(stage, name, instruction)
        elif number < len(self.stages) - 1:
            stage.stages.append(number)
        else:
            what = f"{instruction.keyword} takes files from stage {name}"
            raise instruction.error(what, "only stages before this one can be named")

    def _need_image(self, stage: _Stage, name: str, instruction: Instruction) -> None:
        if name != SCRATCH and _context_key(name) not in self._contexts:
            stage.images.append(_needed(name, instruction.location))

    def _stage_named(self, name: str) -> int | None:
        """Return the number of the last stage of a name, however it is written."""
        numbers = range(len(self.stages) - 1, -1, -1)
        return next((n for n in numbers if self.stages[n].name == name.lower()), None)

    def _expand(self, word: str, instruction: Instruction) -> str:
        try:
            return expand(word, self._globals)
        except ValueError as error:
            raise instruction.error(str(error), "write ${NAME} or ${NAME:-default}") from None


def _needed(name: str, location: Location) -> Needed:
    try:
        return Needed(pulled(parse_reference(name)), location)
    except ValueError:
        what = "names something that is no reference of an image"
        raise ConfigurationError(location, what, "write HOST/NAME:TAG") from None


def _sources(instruction: Instruction) -> Iterator[str]:
    """Yield what an instruction takes files from."""
    for flag, value in instruction.flags:
        if instruction.keyword == "COPY" and flag == "from":
            yield value.strip("\"'")
        elif instruction.keyword == "RUN" and flag == "mount":
            options = next(csv.reader([value]), [])
            pairs = (option.partition("=") for option in options)
            yield from (name for key, _, name in pairs if key.strip().lower() == "from" and name)


def _context_key(name: str) -> str:
    """Return a name as named contexts are compared: ``redis:latest`` is ``redis``."""
    try:
        return str(parse_reference(name.lower())).removesuffix(":latest")
    except ValueError:
        return name.lower()


def _platform_arguments(platform: str) -> dict[str, str]:
    """Return the arguments that are there without being declared, for FROM."""
    system, _, machine = platform.partition("/")
    architecture, _, variant = machine.partition("/")
    parts = {"PLATFORM": platform, "OS": system, "ARCH": architecture, "VARIANT": variant}
    return {f"{side}{key}": value for side in ("TARGET", "BUILD") for key, value in parts.items()}
