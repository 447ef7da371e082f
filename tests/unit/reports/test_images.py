"""What is told of images at the end of a run."""

from __future__ import annotations

import json

import pytest

from codexctl_tasks.reports.images import (
    ImageRow,
    as_json,
    headline,
    markdown,
    size_text,
    step_outputs,
    table_lines,
)

DIGEST = "sha256:" + "ab" * 32
GOOD = ImageRow(name="redis", target="r/redis:7", what="unchanged", digest=DIGEST, seconds=0.04)
BUILT = ImageRow(
    name="web", target="r/web:2", what="built", digest=DIGEST, size_bytes=3_500_000, seconds=12.3
)
BAD = ImageRow(name="api", target="r/api:1", what="failed", error="Dockerfile: is | missing")


def test_a_table_with_the_reason_below_a_bad_one() -> None:
    """What was done, how long it took, where it is."""
    assert headline([GOOD, BUILT]) == ("ready", "IMAGES  1 unchanged, 1 built")
    assert headline([GOOD, BAD, BAD]) == ("failed", "FAILED  1 unchanged, 2 failed")
    assert [line for _, line in table_lines([GOOD, BUILT, BAD])] == [
        "  redis  unchanged     0.0 s             sha256:abababababab  r/redis:7",
        "  web    built        12.3 s    3.3 MiB  sha256:abababababab  r/web:2",
        "  api    failed        0.0 s                                  r/api:1",
        "    Dockerfile: is | missing",
    ]


def test_no_images() -> None:
    """A stack without images is no failure."""
    assert headline([]) == ("ready", "IMAGES  no images")


def test_the_summary_of_a_job() -> None:
    """A table; nothing in it can break out of its cell."""
    text = markdown([BUILT, BAD])

    assert text.startswith("## ❌ Images: 1 built, 1 failed\n")
    assert "| web<br>r/web:2 | built | sha256:abababababab | 3.3 MiB | 12.3 |" in text
    assert "**failed**: Dockerfile: is &#124; missing |" in text


def test_for_programs() -> None:
    """The same as data, and the digests as an output of the step."""
    assert as_json([BUILT], exit_code=0)["images"] == [
        {
            "name": "web",
            "target": "r/web:2",
            "outcome": "built",
            "digest": DIGEST,
            "bytes": 3_500_000,
            "seconds": 12.3,
            "error": "",
        }
    ]
    assert json.loads(step_outputs([BUILT, BAD])["digests"]) == {"web": DIGEST}


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (5 * 1024**3, "5.0 GiB"),
        (2e15, "1819.0 TiB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    """In units that people read."""
    assert size_text(count) == text
