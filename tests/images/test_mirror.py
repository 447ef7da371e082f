"""Mirroring from one docker-registry into another: what arrives, and what that costs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import UsageError
from tests.images.conftest import words
from tests.support.images import layer
from tests.support.registries import require
from tests.support.shell import run_program_in

if TYPE_CHECKING:
    from tests.images.conftest import Bench


def test_an_image_is_copied_and_then_left_alone(bench: Bench) -> None:
    """Byte by byte; and when nothing has changed, two HEAD requests are all."""
    entry = bench.pusher.image("plain", "1", [layer("plain", 100_000)])

    [first] = bench.mirror("plain:1")

    assert (first.done.value, first.error) == ("copied", None)
    assert first.digest == entry["digest"]
    assert first.moved > 100_000
    assert (first.mounted, first.present) == (0, 0)
    assert bench.arrived.raw("mirror/plain", "1") == bench.pusher.raw("plain", "1")
    assert bench.told[-1].startswith(f"plain: copied {bench.target.host}/mirror/plain:1 (0.1 MB")

    assert words(bench.mirror("plain:1")) == ["unchanged"]
    assert bench.source.lines() == ["HEAD /v2/plain/manifests/1"]
    assert bench.target.lines() == ["HEAD /v2/mirror/plain/manifests/1"]


def test_a_digest_is_not_looked_up(bench: Bench) -> None:
    """Nobody can have changed what it stands for: the source is asked for nothing."""
    digest = bench.pusher.image("pinned", "1", [layer("pinned")])["digest"]
    external = bench.external(f"pinned@{digest}", "pinned:1")

    assert words(bench.mirror(external)) == ["copied"]
    assert "HEAD" not in {each.method for each in bench.source.seen}

    assert words(bench.mirror(external)) == ["unchanged"]
    assert bench.source.seen == []
    assert bench.target.lines() == ["HEAD /v2/mirror/pinned/manifests/1"]


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
def test_all_platforms(bench: Bench, docker: bool) -> None:
    """An index arrives whole, in the format it has, with what is said about how it was built."""
    name = "many-docker" if docker else "many-oci"
    push = bench.pusher
    entries = [
        push.image(name, "", [layer("base"), layer(arch)], platform=f"linux/{arch}", docker=docker)
        for arch in ("amd64", "arm64")
    ]
    if not docker:
        entries.append(push.attestation(name, entries[0]["digest"]))
    push.index(name, "1", entries, docker=docker)

    assert words(bench.mirror(f"{name}:1")) == ["copied"]

    for each in ("1", *(entry["digest"] for entry in entries)):
        assert bench.arrived.raw(f"mirror/{name}", each) == push.raw(name, each) != b""
    puts = bench.target.lines("PUT", "manifests")
    assert puts[-1].endswith("/manifests/1")
    assert len(puts) == len(entries) + 1

    assert words(bench.mirror(f"{name}:1")) == ["unchanged"]
    assert bench.source.lines() == [f"HEAD /v2/{name}/manifests/1"]


def test_an_index_in_an_index(bench: Bench) -> None:
    """Rare, and allowed: what is listed is there before what lists it."""
    push = bench.pusher
    inner = push.index("nested", "inner", [push.image("nested", "", [layer("nested")])])
    kind = json.loads(push.raw("nested", inner))["mediaType"]
    size = len(push.raw("nested", inner))
    push.index("nested", "1", [{"mediaType": kind, "digest": inner, "size": size}])

    assert words(bench.mirror("nested:1")) == ["copied"]
    assert bench.arrived.raw("mirror/nested", inner) == push.raw("nested", inner)
    assert words(bench.mirror("nested:1")) == ["unchanged"]


def test_a_part_that_was_tidied_away_comes_back(bench: Bench) -> None:
    """The tag still has the right digest; nodes of that platform could not pull it."""
    push = bench.pusher
    entries = [
        push.image("tidied", "", [layer(f"tidied-{arch}")], platform=f"linux/{arch}")
        for arch in ("amd64", "arm64")
    ]
    push.index("tidied", "1", entries)
    bench.mirror("tidied:1")
    lost = entries[1]["digest"]
    bench.arrived.delete("mirror/tidied", lost)
    assert bench.arrived.raw("mirror/tidied", lost) == b""

    assert words(bench.mirror("tidied:1")) == ["retagged"]

    assert bench.arrived.raw("mirror/tidied", lost) == push.raw("tidied", lost)
    assert f"/manifests/{entries[0]['digest']}" not in "".join(bench.source.lines("GET"))


def test_another_tag_of_the_same_image(bench: Bench) -> None:
    """Nothing moves when all of it is there."""
    bench.pusher.image("tags", "1", [layer("tags", 50_000)])
    bench.mirror("tags:1")
    external = bench.external("tags:1", "tags:stable")

    [result] = bench.mirror(external)

    assert result.done.value == "retagged"
    assert (result.moved, result.mounted) == (0, 0)
    assert result.present > 50_000
    assert bench.arrived.tags("mirror/tags") == ["1", "stable"]


def test_a_layer_that_two_images_share_moves_once(bench: Bench) -> None:
    """The second image has it mounted from the first one."""
    base = layer("shared", 200_000)
    for name in ("one", "two", "three"):
        bench.pusher.image(f"share-{name}", "1", [base, layer(name)])

    results = bench.mirror("share-one:1", "share-two:1", "share-three:1")

    assert words(results) == ["copied"] * 3
    assert len(bench.source.lines("GET", base.digest)) == 1
    assert sorted(result.mounted >= len(base.data) for result in results) == [False, True, True]
    for name in ("one", "two", "three"):
        held = bench.arrived.request("GET", f"/v2/mirror/share-{name}/blobs/{base.digest}")[2]
        assert held == base.data


def test_from_one_repository_to_another_of_the_same_registry(bench: Bench) -> None:
    """Nothing is read at all: the registry has it."""
    bench.pusher.image("inside", "1", [layer("inside", 100_000)])
    external = bench.external("inside:1")
    target = bench.external("inside:1").source
    within = type(external)(
        name="inside",
        source=external.source,
        target=type(target)(target.host, "copies/inside", "1"),
        location=external.location,
    )

    [result] = bench.mirror(within)

    assert result.done.value == "copied"
    assert (result.moved, result.mounted > 100_000) == (0, True)
    assert bench.source.lines("GET", "/blobs/") == []


def test_only_one_platform(bench: Bench) -> None:
    """The index is replaced by that platform's manifest; so it is found again."""
    push = bench.pusher
    entries = {
        arch: push.image("only", "", [layer(f"only-{arch}")], platform=arch)
        for arch in ("linux/amd64", "linux/arm/v7", "linux/arm64/v8")
    }
    attestation = push.attestation("only", entries["linux/amd64"]["digest"])
    push.index("only", "1", [*entries.values(), attestation])

    [result] = bench.mirror("only:1", platform="linux/arm64")

    assert (result.done.value, result.error) == ("copied", None)
    assert result.digest == entries["linux/arm64/v8"]["digest"]
    assert bench.arrived.raw("mirror/only", "1") == push.raw("only", result.digest)
    assert words(bench.mirror("only:1", platform="linux/arm64/v8")) == ["unchanged"]
    assert bench.target.lines() == ["HEAD /v2/mirror/only/manifests/1"]


def test_a_platform_that_the_image_does_not_have(bench: Bench) -> None:
    """What there is instead; an image without an index says it in its configuration."""
    entry = bench.pusher.image("lacks", "1", [layer("lacks")])
    bench.pusher.index("lacks", "all", [entry])

    results = bench.mirror("lacks:1", "lacks:all", platform="linux/arm64")

    for result, tag in zip(results, ("1", "all"), strict=True):
        assert result.error is not None
        assert result.error.exit_code == 3
        assert str(result.error) == (
            f"services.yaml:7: {bench.source.host}/lacks:{tag} does not exist for linux/arm64: "
            "it exists for linux/amd64"
        )
    assert bench.arrived.tags("mirror/lacks") == []
    assert words(bench.mirror("lacks:1", platform="linux/amd64")) == ["copied"]


def test_what_is_no_platform(bench: Bench) -> None:
    """Told before anything is asked."""
    with pytest.raises(UsageError, match=r"^--platform: 'arm64' is no platform: write"):
        bench.mirror("any:1", platform="arm64")
    assert bench.source.seen == []


def test_a_layer_that_is_somewhere_else(bench: Bench) -> None:
    """Layers of Windows with addresses of their own stay there."""
    bench.pusher.image("foreign", "1", [layer("foreign")], docker=True, foreign=True)

    assert words(bench.mirror("foreign:1")) == ["copied"]
    assert bench.arrived.raw("mirror/foreign", "1") == bench.pusher.raw("foreign", "1")


def test_a_dry_run_writes_nothing(bench: Bench) -> None:
    """It says what would be done; not even an upload is begun."""
    base = layer("dry-base", 30_000)
    bench.pusher.image("dry", "1", [base])
    bench.pusher.image("dry", "2", [base, layer("dry-more", 20_000)])
    bench.mirror("dry:1")

    results = bench.mirror("dry:1", "dry:2", bench.external("dry:1", "dry:3"), dry_run=True)

    assert words(results) == ["unchanged", "would copy", "would retag"]
    assert results[1].moved > 20_000
    assert results[1].present == len(base.data)
    assert {each.method for each in bench.target.seen} == {"GET", "HEAD"}
    assert bench.arrived.tags("mirror/dry") == ["1"]


def test_an_image_that_does_not_exist(bench: Bench) -> None:
    """It is the configuration that is wrong; the other images are mirrored."""
    bench.pusher.image("exists", "1", [layer("exists")])

    results = bench.mirror("exists:2", "nowhere:1", "exists:1")

    assert words(results) == ["failed", "failed", "copied"]
    assert [result.error.exit_code for result in results[:2] if result.error] == [3, 3]
    assert str(results[1].error) == (
        f"services.yaml:7: images.nowhere.from: {bench.source.host}/nowhere:1 does not exist: "
        "correct its name or its tag"
    )
    assert bench.told[-1].startswith(("exists", "nowhere"))


def test_skopeo_agrees(bench: Bench) -> None:
    """What arrived is what skopeo reads at the source, and it can be copied on, every platform."""
    require("skopeo")
    push = bench.pusher
    entries = [
        push.image("opinion", "", [layer(f"opinion-{arch}")], platform=f"linux/{arch}")
        for arch in ("amd64", "arm64")
    ]
    push.index("opinion", "1", entries)
    bench.mirror("opinion:1")
    source = f"docker://{bench.source.host}/opinion:1"
    target = f"docker://{bench.target.host}/mirror/opinion:1"
    copy = bench.folder / "copy"

    raw = [
        run_program_in(bench.folder, "skopeo", "inspect", "--raw", "--tls-verify=false", each)
        for each in (source, target)
    ]
    run_program_in(
        *(bench.folder, "skopeo", "copy", "--all", "--src-tls-verify=false"),
        *(target, f"oci:{copy}:1"),
    )

    assert raw[0] == raw[1] != b""
    assert {path.name for path in (copy / "blobs" / "sha256").iterdir()} >= {
        entry["digest"].removeprefix("sha256:") for entry in entries
    }
