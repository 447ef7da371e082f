"""Delete what an earlier run applied and what the stack has no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.apply.refusals import explained_deletion
from codexctl_tasks.apply.stages import stage_number
from codexctl_tasks.errors import ClusterError, CodexctlError, CombinedError, TransientClusterError
from codexctl_tasks.world.cluster import CONNECTIONS
from codexctl_tasks.world.parallel import in_parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from codexctl_tasks.apply.plan import Leaving
    from codexctl_tasks.world.cluster import Cluster


def prune(
    leaving: Sequence[Leaving],
    cluster: Cluster,
    *,
    applied_uids: Collection[str],
    tell: Callable[[Leaving], None],
    check: Callable[[], None] = lambda: None,
) -> None:
    """
    Delete objects that left the stack, the last stages first; nobody waits for them to be gone.

    Args:
        leaving: Objects with a reason to be kept stay.
        cluster: Where.
        applied_uids: Objects that this run has applied stay, under whichever name they are known:
            one kind may be served by two groups.
        tell: Called for each object that is deleted.
        check: Called before each object; raises when this run must not go on.

    Raises:
        CombinedError: What the server refused; everything else was deleted.
    """
    going = [each for each in leaving if not each.kept and each.uid not in applied_uids]
    stages: dict[int, list[Leaving]] = {}
    for each in going:
        stages.setdefault(stage_number(each.name.kind), []).append(each)

    def delete(each: Leaving) -> ClusterError | None:
        name = each.name
        check()
        if each.resource is None:  # kept: there is no way to address it
            return None
        try:
            cluster.delete(
                *(each.resource, name.namespace, name.name, each.uid), propagation="Background"
            )
        except TransientClusterError:
            raise
        except ClusterError as error:
            return explained_deletion(error, name, str(name))
        return None

    problems: list[CodexctlError] = []
    for number in sorted(stages, reverse=True):
        for each, problem in in_parallel(delete, stages[number], limit=CONNECTIONS):
            if problem is None:
                tell(each)
            else:
                problems.append(problem)
    if problems:
        raise CombinedError(sorted(problems, key=str))
