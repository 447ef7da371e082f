"""Where an agent's work goes: the branch that it is pushed to, and the one that takes it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.agent.work import branches
from codexctl_tasks.agent.work.branches import RefusedBranchError
from codexctl_tasks.flows.agent.carrying import BlockedError

if TYPE_CHECKING:
    from codexctl_tasks.agent.work.verification import Work
    from codexctl_tasks.flows.agent.carrying import Carrier
    from codexctl_tasks.requests.publishing import PublishRequest
    from codexctl_tasks.world.github import GitHub
    from codexctl_tasks.world.github_objects import PullRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Both branches, and where they have parted."""

    pull: PullRequest | None
    """That the run is about; None: it is about an Issue, which may have one."""
    branch: str
    base_branch: str
    pushes: bool
    """The branch has not got the work yet."""
    start: str
    """Newest commit that is in both branches, as far as the agent's own commits do not change it:
    a pull request shows what has come since."""
    prefix: str
    """What branches of agents begin with."""

    @property
    def is_agents(self) -> bool:
        """Whether the branch is one that only agents push to."""
        return self.branch.startswith(self.prefix)

    @property
    def issue(self) -> int:
        """The Issue that the branch is for, by its name; 0: none."""
        number = self.branch.removeprefix(self.prefix)
        return int(number) if self.is_agents and number.isascii() and number.isdecimal() else 0


def target_of(request: PublishRequest, github: GitHub, carrier: Carrier, work: Work) -> Target:
    """
    Return where verified work goes.

    Raises:
        BlockedError: It may go nowhere, or did not begin where it goes.
    """
    pull = github.pull_request(request.repo, request.pr) if request.pr else None
    try:
        branch, base_branch = _branches(request, github, pull)
        tip = carrier.tip(branch)
        pushes = branches.needs_push(
            tip=tip,
            base=work.base,
            history=work.history,
            may_be_new=pull is None,
            again=_again(request, branch),
        )
    except RefusedBranchError as error:
        raise BlockedError(str(error)) from error
    start = github.merge_base(request.repo, base_branch, work.base)
    if not start or (not tip and start != work.base):
        raise BlockedError(f"{work.base[:12]}, where the agent began, is not in {base_branch}")
    return Target(
        pull=pull,
        branch=branch,
        base_branch=base_branch,
        pushes=pushes,
        start=start,
        prefix=request.branch_prefix,
    )


def _again(request: PublishRequest, branch: str) -> str:
    """Say how to begin where a branch is: the gate checks it out, at a terminal nobody does."""
    if request.in_workflow:
        return "run the agent again, which begins there"
    first = f"check out {branch} first (git fetch origin {branch} && git checkout FETCH_HEAD)"
    return f"{first}, codexctl ensure-ready --overwrite, and run the agent again"


def _branches(request: PublishRequest, github: GitHub, pull: PullRequest | None) -> tuple[str, str]:
    """Return the branch that is pushed to, and the one that it is to be merged into."""
    default = github.default_branch(request.repo)
    if pull:
        branch, base = branches.branch_of_pull_request(pull), pull.base_ref
    else:
        branch = branches.branch_of_issue(request.branch_prefix, request.issue)
        base = request.base_branch or default
    known = github.branch(request.repo, branch)
    is_protected = known is not None and known.is_protected
    branches.check_branch(branch, others=(default, base), is_protected=is_protected)
    return branch, base
