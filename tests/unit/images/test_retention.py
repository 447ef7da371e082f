"""What stays of a repository, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from codexctl_tasks.images.retention import (
    Rules,
    Stored,
    Verdict,
    decide,
    freed_bytes,
    in_deletion_order,
    parts_to_delete,
)
from codexctl_tasks.images.usage import Usage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POD = "Pod shop/web-1 of main"


def _digest(name: str) -> str:
    return f"sha256:{name * 64}"


def _image(name: str, *tags: str, days: float | None = 30, **more: Any) -> Stored:
    created = None if days is None else NOW - timedelta(days=days)
    return Stored(digest=_digest(name), tags=tags, created=created, **more)


def _decide(
    *images: Stored,
    tags: tuple[str, ...] = (),
    digests: tuple[str, ...] = (),
    absent: tuple[str, ...] = (),
    newest: int = 0,
    protected: tuple[str, ...] = (),
    desired: tuple[str, ...] = (),
) -> list[Verdict]:
    usage = Usage(
        tags={("shop/api", tag): POD for tag in tags},
        digests={_digest(name): POD for name in digests},
    )
    rules = Rules(
        newest=newest,
        protected=protected,
        younger_s=86400,
        desired=dict.fromkeys(desired, "images.api in staging"),
    )
    return decide(images, "shop/api", usage=usage, rules=rules, now=NOW, absent=absent)


def _kept(verdicts: list[Verdict]) -> dict[str, str]:
    return {v.image.digest[7]: v.why for v in verdicts if v.stays}


@pytest.mark.parametrize(
    ("image", "given", "why"),
    [
        (_image("a", "1"), {}, ""),
        (_image("a", "1"), {"tags": ("1",)}, f"used by {POD}"),
        (_image("a", "1"), {"tags": ("2",)}, ""),
        (_image("a", "1"), {"digests": ("a",)}, f"used by {POD}"),
        (_image("a", "1"), {"digests": ("b",)}, ""),
        (_image("a", "1", parts=frozenset({_digest("b")})), {"digests": ("b",)}, f"used by {POD}"),
        (
            _image("a", "1", configurations=frozenset({_digest("b")})),
            {"digests": ("b",)},
            f"used by {POD}",
        ),
        (_image("a", "1"), {"desired": ("1",)}, "desired by images.api in staging"),
        (_image("a", "v1"), {"protected": ("main", "v*")}, "protected by 'v*'"),
        (_image("a", "V1"), {"protected": ("v*",)}, ""),
        (_image("a", "1"), {"newest": 1}, "one of the 1 newest"),
        (_image("a", "1", days=None), {}, "its age is unknown"),
        (_image("a", "buildcache", days=None), {}, "layers for the next builds"),
        (_image("a", "e" * 64), {"digests": ("a",)}, f"used by {POD}"),
        (_image("a", "1", days=0.9), {}, "young: 21 h old"),
        (_image("a", "1", days=1.1), {}, ""),
        (_image("a", "1", days=-3), {}, "young: 0 h old"),
    ],
)
def test_one_image(image: Stored, given: dict[str, Any], why: str) -> None:
    """Each rule by itself; without any the image goes."""
    [verdict] = _decide(image, **given)

    assert verdict.stays is bool(why)
    assert verdict.why_tag(image.tags[0]) == why or not why
    assert why or verdict.why.startswith("unused, ")


def test_all_tags_of_an_image_stay_or_go_together() -> None:
    """Deleting it would take them all: each says why, cache tags as well."""
    [verdict] = _decide(_image("a", "1", "c-0123", "old"), tags=("1",))

    assert verdict.stays
    assert verdict.why_tag("1") == f"used by {POD}"
    assert verdict.why_tag("c-0123") == verdict.why_tag("old") == "the same image as 1"


def test_the_newest() -> None:
    """Those of the same time stay together; parts and signatures are not counted."""
    verdicts = _decide(
        _image("a", "1", days=10, parts=frozenset({_digest("b")})),
        _image("b", "1-amd64", days=9),
        _image("c", f"sha256-{'a' * 64}.sig", days=8),
        _image("d", "2", days=12),
        _image("e", "3", days=12),
        _image("f", "4", days=13),
        newest=2,
    )

    assert _kept(verdicts) == {
        "a": "one of the 2 newest",
        "b": "part of 1",
        "c": f"belongs to {_digest('a')}",
        "d": "one of the 2 newest",
        "e": "one of the 2 newest",
    }


def test_parts_stay_with_their_index() -> None:
    """A part of a part too, also when its own tag could go, or when the index has no tag."""
    nested = _image("a", "1", parts=frozenset({_digest("b"), _digest("c")}))
    images = (nested, _image("b", "1-a", parts=frozenset({_digest("c")})), _image("c", "1-c"))
    untagged = _image("d", parts=frozenset({_digest("e")}))

    assert set(_kept(_decide(*images, tags=("1",)))) == {"a", "b", "c"}
    assert set(_kept(_decide(*images, tags=("1-a",)))) == {"b", "c"}
    assert set(_kept(_decide(*images))) == set()
    assert set(_kept(_decide(untagged, _image("e", "old"), digests=("d",)))) == {"d", "e"}


def test_signatures_go_with_what_they_belong_to() -> None:
    """They stay when it stays, when it is a part, and when nobody knows."""
    signature = _image("b", f"sha256-{'a' * 64}.sig", days=None)
    image = _image("a", "1")
    index = _image("c", "2", parts=frozenset({_digest("a")}))

    assert set(_kept(_decide(image, signature))) == set()
    assert set(_kept(_decide(image, signature, tags=("1",)))) == {"a", "b"}
    assert set(_kept(_decide(index, signature, tags=("2",)))) == {"b", "c"}
    assert set(_kept(_decide(signature))) == {"b"}
    assert set(_kept(_decide(signature, absent=(_digest("a"),)))) == set()


def test_the_order_of_deletion() -> None:
    """An index without its parts is broken: it goes first, signatures go last."""
    verdicts = _decide(
        _image("a", f"sha256-{'c' * 64}.sig"),
        _image("b", "1-amd64"),
        _image("c", "1", parts=frozenset({_digest("b"), _digest("d")})),
    )

    assert [v.image.digest[7] for v in in_deletion_order(verdicts)] == ["c", "b", "a"]


def test_parts_that_go_with_an_index() -> None:
    """Not those that another index lists, that have a tag of their own, or that are used."""
    parts = frozenset(_digest(name) for name in "abcd")
    index = _image("1", "1", parts=parts)
    others = (_image("2", "2", parts=frozenset({_digest("a")})), _image("b", "old"))
    usage = Usage(digests={_digest("c"): POD})

    assert parts_to_delete(index, (index, *others), usage) == [_digest("d")]


def test_what_is_freed() -> None:
    """Layers that something else needs as well stay, and count once."""
    verdicts = _decide(
        _image("a", "1", blobs={"base": 100, "x": 10}),
        _image("b", "2", blobs={"base": 100, "y": 7, "shared": 1}),
        _image("c", "3", blobs={"z": 5, "shared": 1}),
        tags=("1",),
    )

    assert freed_bytes([v for v in verdicts if not v.stays], verdicts[:1]) == 13


def test_steps_of_builds_go() -> None:
    """Buildah keeps each step beside the image, without an age: the next build makes it anew."""
    [verdict] = _decide(_image("a", "e" * 64, days=None), newest=1)

    assert not verdict.stays
    assert verdict.why == "a step of a build, kept by buildah"
