"""Rollouts as they end in real life, for what is written about them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from codexctl_tasks.errors import ClusterError, Location
from codexctl_tasks.reports.report import Ending
from codexctl_tasks.reports.story import Story, tell_story
from codexctl_tasks.rollout.diagnosis import Diagnosis
from codexctl_tasks.rollout.history import Moment, MomentKind
from codexctl_tasks.rollout.wait import Outcome, Result
from tests.support.objects import manifests, target, yaml_of

if TYPE_CHECKING:
    from collections.abc import Callable

BEGUN_AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HOSTILE = (
    "</script></pre><img src=http://127.0.0.1:9/x onerror=alert(1)> `a` | b\r\n::error::c "
    "${{ d }} {{ e }} \x1b[31m\x00\ufffe ]]> & \"q\" 'q' #h; :t, %%{init: {}}%% @all "
)
"""What a container, an event or a name might say to whoever shows it."""

IMAGE = "registry.example.com/shop/web:2.0-misspelt"
MISSING = f"container app: image {IMAGE}: image not found (ErrImagePull)"
CRASH = "container worker: exit code 1 (Error)"


def history(*moments: tuple[float, str, str]) -> tuple[Moment, ...]:
    """Return moments from second, kind and text."""
    return tuple(Moment(at_s, MomentKind(kind), text) for at_s, kind, text in moments)


READY = Result(
    target(name="api"),
    Outcome.READY,
    8.4,
    "2 of 2 pods ready",
    begun_s=1.2,
    history=history(
        (1.2, "applied", "just applied"),
        (2.0, "progress", "0 of 2 pods ready"),
        (6.1, "progress", "1 of 2 pods ready"),
        (8.4, "ready", "2 of 2 pods ready"),
    ),
)
FAILED = Result(
    target(name="web"),
    Outcome.FAILED,
    24.3,
    "image not found",
    Diagnosis(
        cause=MISSING,
        where="pod web-7c9d8b6f5-x2kfl (3 of 3 pods show the same)",
        hint="the tag was not pushed, or the name is misspelt",
        events=(f'Failed x3: Failed to pull image "{IMAGE}": not found',),
    ),
    begun_s=1.3,
    history=history(
        (1.3, "applied", "just applied"),
        (1.9, "progress", "0 of 3 pods ready"),
        (4.3, "symptom", MISSING),
        (24.3, "failed", "image not found"),
    ),
)
CRASHED = Result(
    target("StatefulSet", "worker"),
    Outcome.FAILED,
    92.7,
    "crash loop, exit code 1",
    Diagnosis(
        cause=CRASH,
        where="pod worker-0",
        hint="see the log",
        events=("BackOff x7: Back-off restarting failed container worker in pod worker-0",),
        log=(
            "2026-03-04T05:06:09Z INFO  worker 1.4.2 starting, 4 threads",
            "2026-03-04T05:06:09Z INFO  connecting to redis://redis.shop.svc:6379/0",
            "Traceback (most recent call last):",
            '  File "/app/worker.py", line 41, in <module>',
            "    main()",
            '  File "/app/worker.py", line 33, in main',
            "    queue = connect(os.environ['REDIS_URL'])",
            "redis.exceptions.ConnectionError: Error 111 connecting to redis.shop.svc:6379.",
        ),
    ),
    begun_s=1.4,
    history=history(
        (1.4, "applied", "just applied"),
        (2.2, "progress", "0 of 1 pod ready"),
        (3.8, "symptom", CRASH),
        (16.0, "cured", CRASH),
        (34.0, "symptom", CRASH),
        (92.7, "failed", "crash loop, exit code 1"),
    ),
)
LATE = Result(
    target(name="search"),
    Outcome.TIMED_OUT,
    120.0,
    "0 of 1 pod ready",
    Diagnosis(
        cause="Readiness probe failed: HTTP probe failed with statuscode: 503 (Unhealthy)",
        where="1 of 1 pods",
        events=("Unhealthy x38: Readiness probe failed: HTTP probe failed with statuscode: 503",),
    ),
    begun_s=1.4,
    history=history(
        (1.4, "applied", "just applied"),
        (5.0, "progress", "0 of 1 pod ready"),
        (120.0, "timed out", "0 of 1 pod ready"),
    ),
)
UNDECIDED = Result(
    target("DaemonSet", "agent"),
    Outcome.NOT_READY,
    102.7,
    "2 of 3 pods ready",
    Diagnosis(cause="pods are running but not ready", where="1 of 3 pods"),
    begun_s=1.5,
    history=history((1.5, "applied", "just applied"), (102.7, "stopped", "2 of 3 pods ready")),
)
CRASHING = replace(
    CRASHED,
    outcome=Outcome.NOT_READY,
    detail="0 of 1 pod ready: crashed",
    history=history(
        (1.4, "applied", "just applied"),
        (3.8, "symptom", CRASH),
        (92.7, "stopped", "0 of 1 pod ready: crashed"),
    ),
)
SKIPPED = tuple(manifests(yaml_of("Job", "reindex") + yaml_of("Ingress", "public")))


def hostile() -> Result:
    """Return a failure in which everything that can be a text is hostile."""
    return Result(
        target(name="evil", location=Location(f"a{HOSTILE}.yaml", 3)),
        Outcome.FAILED,
        9.0,
        HOSTILE,
        Diagnosis(cause=HOSTILE, where=HOSTILE, hint=HOSTILE, events=(HOSTILE,), log=(HOSTILE,)),
        begun_s=1.0,
        history=history((1.0, "applied", HOSTILE), (2.0, "symptom", HOSTILE), (9.0, "failed", "x")),
    )


def wide() -> Result:
    """Return a failure with the longest texts there are, without a blank to break at."""
    name, line = "n" * 253, "x" * 5000
    return Result(
        target("StatefulSet", name, location=Location(f"{'f' * 200}.yaml", 99999)),
        Outcome.FAILED,
        3599.0,
        line,
        Diagnosis(cause=line, where=line, hint=line, events=(line,) * 3, log=(line,) * 25),
        begun_s=1.0,
        history=history((1.0, "applied", line), (2.0, "symptom", line), (3599.0, "failed", line)),
    )


def story(
    *results: Result,
    exit_code: int = 0,
    mask: Callable[[str], str] = str,
    title: str = "shop.staging",
    **more: Any,
) -> Story:
    """Return what is told of a run with these results."""
    ending = Ending(
        exit_code=exit_code,
        **{"elapsed_s": 102.7, "timeout_s": 600.0, "results": results, **more},
    )
    return tell_story(ending, title=title, begun_at=BEGUN_AT, run="ana@laptop", mask=mask)


def broken() -> Story:
    """Return a bad day: two failures, one that came too late, one undecided, two skipped."""
    return story(
        *(READY, FAILED, CRASHED, LATE, UNDECIDED),
        exit_code=1,
        elapsed_s=120.1,
        skipped=SKIPPED,
        applied="3 created, 2 changed, 14 unchanged",
    )


def healthy() -> Story:
    """Return a good day."""
    return story(READY, elapsed_s=8.5, applied="1 created, 3 unchanged")


def refused() -> Story:
    """Return a run that ended before anything was applied."""
    problem = ClusterError(
        Location("deploy/web.yaml", 12), "spec.replcas: unknown field", "did you mean 'replicas'?"
    )
    return story(exit_code=4, elapsed_s=0.8, problems=[problem], judged=False)
