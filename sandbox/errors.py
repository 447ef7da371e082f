"""Every expected failure: one line that says where, what and how to mend it."""

from __future__ import annotations


class SandboxError(Exception):
    """
    An expected failure, shown as ``where: what: how to mend it``.

    Args:
        where: the thing that fails, such as a file, a component or a package.
        what: what is wrong with it.
        mend: what the reader does about it, a command where one exists.

    """

    def __init__(self, where: str, what: str, mend: str) -> None:
        super().__init__(f"{where}: {what}: {mend}")


class PrerequisitesError(SandboxError):
    """Several things that this machine lacks, one line each."""

    def __init__(self, problems: list[SandboxError]) -> None:
        Exception.__init__(self, "\n".join(str(problem) for problem in problems))
        self.problems = problems
