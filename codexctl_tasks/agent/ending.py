"""
How a whole run ended, from what its jobs have left (pure).

What failed stays failed: a success needs a content agent, jobs that did not fail, and, if the run
makes commits, what `publish` says of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from codexctl_tasks.agent.publication import Publication, read_publication
from codexctl_tasks.agent.result import Result, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

GATE, SLOT, AGENT, PUBLISH = "gate", "slot", "agent", "publish"
"""Names of the jobs in the workflow."""
_CANCELLED, _FAILED, _SKIPPED = "cancelled", "failure", "skipped"
_LARGEST = 4 * 2**20
_NO_RESULT = "the run has left no result"
_NOT_ASKED = "the gate was not asked again: run all jobs once more, not only the failed ones"


@dataclass(frozen=True, slots=True)
class Job:
    """A job that ran before."""

    result: str
    """``success``, ``failure``, ``cancelled`` or ``skipped``; empty: there was none."""
    outputs: Mapping[str, str] = field(default_factory=dict)

    def told(self, name: str) -> str:
        """Return one of its outputs; empty: it has not said so."""
        return self.outputs.get(name, "")


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended, and what was published."""

    result: Result
    publication: Publication

    @property
    def status(self) -> Status:
        """Of the whole."""
        return self.publication.status

    @property
    def outputs(self) -> dict[str, str]:
        """What callers of the workflow read."""
        result, done = self.result, self.publication
        usage = result.usage
        return {
            "status": done.status.value,
            "reason": done.reason,
            "slot": str(result.slot or ""),
            "namespace": result.namespace,
            "thread-id": result.thread_id,
            "final-message": result.final_message,
            "pr-number": str(done.pr or ""),
            "url": done.url,
            "branch": done.branch,
            "commit": done.commit,
            "input-tokens": str(usage.input),
            "cached-input-tokens": str(usage.cached_input),
            "output-tokens": str(usage.output),
            "reasoning-tokens": str(usage.reasoning),
            "duration": f"{result.duration_s:.0f}",
        }


def read_needs(text: str) -> dict[str, Job]:
    """Return the jobs that GitHub's ``needs`` tells of; empty if it makes no sense."""
    try:
        found = json.loads(text) if 0 < len(text) <= _LARGEST else {}
    except (ValueError, RecursionError):
        return {}
    jobs = found.items() if isinstance(found, dict) else ()
    return {name: _job(told) for name, told in jobs if isinstance(told, dict)}


def ending_of(
    result: Result | None, published: Publication | None, jobs: Mapping[str, Job], subject: Result
) -> Ending:
    """
    Return how a run ended.

    Args:
        result: What the agent's job has left; None: nothing.
        published: What `publish` has left; None: nothing but, perhaps, outputs of its job.
        jobs: Those before, by name; none on a laptop.
        subject: What the run is about, which counts more than what the result says.
    """
    known = _with_subject(result, subject, jobs) if result else _without_result(subject, jobs)
    published = published or read_publication(_of(jobs, PUBLISH).outputs)
    if known.status is not Status.SUCCESS:
        done = Publication(status=known.status, reason=known.reason)
    elif published is None:
        done = _unpublished(known, jobs)
    else:
        done = published
    if done.status in (Status.SUCCESS, Status.NO_CHANGES) and (bad := _bad_job(jobs)):
        done = replace(done, status=bad[0], reason=bad[1])
    return Ending(known, done)


def _with_subject(result: Result, subject: Result, jobs: Mapping[str, Job]) -> Result:
    asked = (subject.kind, subject.repo, subject.issue, subject.pr)
    is_same = asked == (result.kind, result.repo, result.issue, result.pr)
    found = replace(
        result, kind=subject.kind, repo=subject.repo, issue=subject.issue, pr=subject.pr
    )
    if not is_same:
        return found.ended(Status.INFRA_FAILED, "the result is of another run")
    before = {name: job for name, job in jobs.items() if name != PUBLISH}
    if found.status is Status.SUCCESS and (bad := _bad_job(before)):
        return found.ended(*bad)
    return found


def _without_result(subject: Result, jobs: Mapping[str, Job]) -> Result:
    """Return what can be said when the agent's job has left nothing."""
    gate, slot, agent = (_of(jobs, name) for name in (GATE, SLOT, AGENT))
    number = slot.told("slot")
    found = replace(
        subject,
        slot=int(number) if number.isdecimal() and number.isascii() else 0,
        namespace=slot.told("namespace"),
        thread_id=agent.told("thread-id"),
    )
    if gate.result == "success" and gate.told("allowed") != "true":
        return found.ended(Status.DENIED, gate.told("reason"))
    for job in (agent, slot):
        if (told := job.told("status")) in tuple(Status):
            return _of_job(found, Status(told), job, jobs)
    why = _NOT_ASKED if slot.result == _SKIPPED and gate.result == "success" else _NO_RESULT
    return found.ended(*(_bad_job(jobs) or (Status.INFRA_FAILED, why)))


def _of_job(found: Result, status: Status, job: Job, jobs: Mapping[str, Job]) -> Result:
    """Return how it ended as a job says, whose file is lost."""
    if status is not Status.SUCCESS:
        return found.ended(status, job.told("reason"))
    before = {name: each for name, each in jobs.items() if name != PUBLISH}
    if bad := _bad_job(before):
        return found.ended(*bad)
    if read_publication(_of(jobs, PUBLISH).outputs) is None:  # it has seen the file
        return found.ended(*(_bad_job(jobs) or (Status.INFRA_FAILED, _NO_RESULT)))
    return found.ended(status, "")


def _unpublished(result: Result, jobs: Mapping[str, Job]) -> Publication:
    """Return what is to be said when nobody has told of a publication."""
    if not jobs and not result.kind.makes_commits:
        return Publication(status=Status.SUCCESS)
    status, why = _bad_job(jobs) or (Status.INFRA_FAILED, "nobody tells of what was published")
    return Publication(status=status, reason=why)


def _bad_job(jobs: Mapping[str, Job]) -> tuple[Status, str] | None:
    """Return what follows from the job that went wrong; a cancelled one counts most."""
    for name, job in jobs.items():
        if job.result == _CANCELLED:
            return Status.CANCELLED, f"the job {name} was cancelled"
    for name, job in jobs.items():
        if job.result == _FAILED:
            return Status.INFRA_FAILED, f"the job {name} failed"
    return None


def _job(told: Mapping[str, Any]) -> Job:
    outputs = told.get("outputs")
    texts = outputs.items() if isinstance(outputs, dict) else ()
    return Job(str(told.get("result") or ""), {k: v for k, v in texts if isinstance(v, str)})


def _of(jobs: Mapping[str, Job], name: str) -> Job:
    return jobs.get(name, Job(""))
