"""What all builders work with: programs, run to their end, and what is known of registries."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from codexctl_tasks.errors import DeadlineError
from codexctl_tasks.images.backend import BuildError
from codexctl_tasks.registry.connections import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from codexctl_tasks.images.backend import BuildOrder
    from codexctl_tasks.references import Reference
    from codexctl_tasks.world.clock import Clock
    from codexctl_tasks.world.process import RunProgram

PROBE_TIMEOUT_S = 5.0
"""For one question to a program; a healthy one needs tenths of a second."""
REMOVAL_TIMEOUT_S = 60.0


class RefusedError(Exception):
    """A builder cannot work here; its text is the reason, one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """This machine, as far as builders need it."""

    run: RunProgram
    clock: Clock
    environ: Mapping[str, str] = field(repr=False)
    """That of the programs; they find the credentials of registries by it."""
    plain_http: frozenset[str] = frozenset()
    """Hosts of registries, with their ports, that speak no TLS; loopback needs not be named."""

    def speaks_plain_http(self, reference: Reference) -> bool:
        """Tell whether the registry of an image needs no TLS."""
        return reference.host in self.plain_http or is_loopback(reference.host)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder for small files that are needed only now."""
        place = self.environ.get("TMPDIR") or None
        with (
            _room(place),
            tempfile.TemporaryDirectory(prefix="codexctl-build-", dir=place) as folder,
        ):
            yield Path(folder)

    @contextmanager
    def storage(self, *as_owner: str) -> Iterator[Path]:
        """
        Give a folder with room for images: ``/tmp`` may be memory. It goes with all that is in it.

        *as_owner*: What runs a program as the users to whom files in it may belong.
        """
        places = [self.environ.get("TMPDIR", ""), "/var/tmp"]  # noqa: S108 - mkdtemp's name is unique
        place = next((each for each in places if each and os.access(each, os.W_OK)), None)
        with _room(place):
            folder = Path(tempfile.mkdtemp(prefix="codexctl-build-", dir=place))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
                if folder.exists():
                    self._finish([*as_owner, "rm", "-rf", str(folder)], TMPDIR=str(folder))

    def _finish(self, command: Sequence[str], **environ: str) -> None:
        """Run a program although this thread may have been told to stop: then it starts none."""

        def run() -> None:
            with suppress(OSError):
                self.run(
                    command,
                    folder=Path(),
                    environ={**self.environ, **environ},
                    timeout_s=REMOVAL_TIMEOUT_S,
                    tell=lambda _: None,
                )

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join()

    def find(self, program: str) -> str:
        """
        Return the path of a program.

        Raises:
            RefusedError: There is none.
        """
        path = shutil.which(program, path=self.environ.get("PATH"))
        if path is None:
            raise RefusedError(f"{program} is not on PATH")
        return path

    def ask(self, *command: str, **environ: str) -> list[str]:
        """
        Return what a program answers within seconds.

        Raises:
            RefusedError: It failed, or did not answer in time.
        """
        lines: list[str] = []
        name = Path(command[0]).name
        try:
            ended = self.run(
                command,
                folder=Path(),
                environ={**self.environ, **environ},
                timeout_s=PROBE_TIMEOUT_S,
                tell=lines.append,
            )
        except OSError as error:
            raise RefusedError(f"{name} cannot be started: {error.strerror}") from error
        if ended.is_over_time:
            raise RefusedError(f"{name} did not answer within {PROBE_TIMEOUT_S:.0f} s")
        if ended.exit_code:
            said = [" ".join(line.split()) for line in lines if line.strip()]
            raise RefusedError(said[-1] if said else f"{name} ended with {ended.exit_code}")
        return lines

    def bench(
        self, program: str, order: BuildOrder, tell: Callable[[str], None], deadline_s: float
    ) -> Bench:
        """Return the place of one build; *program*: the builder's name."""
        return Bench(
            workshop=self, image=order.name, program=program, tell=tell, deadline_s=deadline_s
        )


@contextmanager
def _room(place: str | None) -> Iterator[None]:
    """Tell of a disk that is full as of any other failure of a build."""
    try:
        yield
    except OSError as error:
        where = place or tempfile.gettempdir()
        what = f"cannot be written to: {error.strerror}"
        raise BuildError(where, what, "make room there, or set TMPDIR") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """The place of one build: whose it is, who listens, when it ends."""

    workshop: Workshop
    image: str
    """Name of the image, for messages."""
    program: str
    """Name of the builder, for messages; what is run may only lead to it."""
    tell: Callable[[str], None]
    deadline_s: float

    def work(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """
        Run a program of the build to its end.

        Args:
            command: Program and arguments.
            environ: What its environment has beside, or in place of, that of the workshop.

        Raises:
            BuildError: It failed.
            DeadlineError: The time of the build was over.
        """
        workshop = self.workshop
        try:
            ended = workshop.run(
                command,
                folder=Path(),
                environ={**workshop.environ, **environ},
                timeout_s=max(self.deadline_s - workshop.clock.now(), 0.0),
                tell=self.tell,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BuildError(self.image, f"{self.program} cannot be started: {reason}") from error
        if ended.is_over_time:
            fix = "give it more time, or find out from its log what it waits for"
            raise DeadlineError(self.image, "the build was not done in time", fix)
        if ended.exit_code:
            what = f"{self.program} failed with exit code {ended.exit_code}"
            raise BuildError(self.image, what, "its log says why")
