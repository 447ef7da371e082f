"""What one job tells the next of a publication."""

from __future__ import annotations

from codexctl_tasks.agent.publication import Publication, read_publication
from codexctl_tasks.agent.result import Status


def test_outputs_come_back_as_they_were() -> None:
    """As long as they are short."""
    done = Publication(
        status=Status.PUBLISH_BLOCKED,
        reason="x: so",
        pr=3,
        url="https://github.example/shop/web/pull/3",
        branch="codex/issue-12",
        commit="c" * 40,
        blocked=("x: so", "y: so"),
        review=("package.json: dependencies",),
    )
    assert read_publication(done.outputs) == done


def test_outputs_are_short() -> None:
    """A path may have 128 KB; what is left says how much more there was, and what it was about."""
    long = f"{'x' * 2**17}/package.json: dependencies"
    done = Publication(
        status=Status.PUBLISH_BLOCKED,
        reason=long,
        branch="b" * 200,
        commit="c" * 64,
        url=f"https://github.example/{'n' * 80}/pull/3",
        blocked=(long,) * 5000,
        review=tuple(f"{n}{long}" for n in range(300)),
    )

    found = done.outputs

    assert sum(map(len, found.values())) <= 4000
    assert found["reason"].startswith("xxx")
    assert found["reason"].endswith("x/package.json: dependencies")
    lines = found["blocked"].splitlines()
    assert all(line.endswith("x/package.json: dependencies") for line in lines[:-1])
    assert lines[-1] == f"(and {5000 - len(lines) + 1:,} more)"
    assert len(lines) > 3
    assert found["review"].splitlines()[-1].endswith(" more)")
    assert list(done.data["blocked"]) == [long] * 5000
