"""What can be asked of an agent."""

from __future__ import annotations

from enum import StrEnum

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")
"""How much a model may think."""
LANGUAGES = ("en", "ru")
"""Of prompts."""
BRANCH_PREFIX = "codex/issue-"
"""What branches of agents begin with; the number of the Issue follows."""


class Kind(StrEnum):
    """Of a run; each has a template of the prompt."""

    DEV = "dev"
    """Do what an Issue asks for, or what a review of the pull request wants changed."""
    REVIEW = "review"
    """Read a pull request and say what is wrong with it."""
    PLAN = "plan"
    """Say how an Issue would be solved; change nothing."""
    PLAN_REVIEW = "plan-review"
    """Say what is wrong with the plan of an Issue."""
    REPAIR = "repair"
    """Find out why an environment is not healthy, and mend it."""

    @property
    def makes_commits(self) -> bool:
        """Whether it ends with a branch; of the others only the last message counts."""
        return self in (Kind.DEV, Kind.REPAIR)


KINDS: tuple[str, ...] = tuple(Kind)
