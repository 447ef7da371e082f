"""Mirroring while the registries, and what is in between, misbehave."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.references import parse_reference
from codexctl_tasks.registry.interface import Descriptor
from tests.images.conftest import words
from tests.support.faulty_proxy import Fault, as_json
from tests.support.images import digest_of, layer

if TYPE_CHECKING:
    from codexctl_tasks.images.results import MirrorResult
    from tests.images.conftest import Bench

MEGABYTE = 10**6
PAGE = {"Content-Type": "text/html; charset=utf-8"}


def _push(bench: Bench, name: str, size: int = 300_000) -> str:
    """Push an image of one layer; return the digest of that."""
    only = layer(name, size)
    bench.pusher.image(name, "1", [only])
    return only.digest


def _arrived(bench: Bench, name: str, results: list[MirrorResult]) -> None:
    """Check that an image is there, whole."""
    assert words(results) == ["copied"], results[0].error
    assert bench.arrived.raw(f"mirror/{name}", "1") == bench.pusher.raw(name, "1")


def _failure(bench: Bench, name: str) -> str:
    """Mirror an image that fails; return what is said, after a look at what is there."""
    [result] = bench.mirror(f"{name}:1")
    assert result.error is not None
    assert result.error.exit_code == 4
    assert bench.arrived.tags(f"mirror/{name}") == []
    return str(result.error)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/$"),
        ("HEAD", "/manifests/1"),
        ("GET", "/manifests/sha256"),
        ("GET", "/blobs/sha256"),
    ],
    ids=["greeting", "HEAD", "manifest", "blob"],
)
@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_a_source_that_is_out_of_order(bench: Bench, status: int, method: str, path: str) -> None:
    """Whatever it refuses for a moment is asked for again."""
    name = f"away-{status}-{len(path)}"
    _push(bench, name, 1000)
    bench.source.will(Fault(method, path, status, times=2))

    _arrived(bench, name, bench.mirror(f"{name}:1"))

    assert len(bench.clock.sleeps) == (0 if (status, path) == (429, "/v2/$") else 2)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("HEAD", "/manifests/1"),
        ("HEAD", "/blobs/sha256"),
        ("POST", "/blobs/uploads/"),
        ("PUT", "/blobs/uploads/"),
        ("PUT", "/manifests/1"),
    ],
    ids=["HEAD", "HEAD blob", "POST", "PUT blob", "PUT manifest"],
)
@pytest.mark.parametrize("status", [500, 503])
def test_a_target_that_is_out_of_order(bench: Bench, status: int, method: str, path: str) -> None:
    """The same for everything that is written."""
    name = f"busy-{status}-{method}-{len(path)}".lower()
    _push(bench, name, 100_000)
    bench.target.will(Fault(method, path, status, times=3))

    _arrived(bench, name, bench.mirror(f"{name}:1"))


def test_a_rate_limit_is_waited_for(bench: Bench) -> None:
    """As long as the registry says; everybody sees why nothing happens."""
    _push(bench, "limited")
    limit = {"Retry-After": "17"}
    bench.source.will(Fault("GET", "/manifests/", 429, limit))

    _arrived(bench, "limited", bench.mirror("limited:1"))

    assert max(bench.clock.sleeps) == 17
    line = next(line for line in bench.told if "429" in line)
    assert line == (
        f"{bench.source.host}/limited: the registry answered 429: FAULT: as the test wants it; "
        "attempt 2 of 6 in 17.0 s"
    )


def test_a_rate_limit_that_lasts_for_hours(bench: Bench) -> None:
    """Nobody waits for that, and the other images go on."""
    _push(bench, "hours")
    bench.source.will(Fault("GET", "/manifests/", 429, {"Retry-After": "3600"}))

    assert "the registry answered 429" in _failure(bench, "hours")
    assert bench.clock.sleeps == []


def test_a_download_that_breaks_off_is_resumed(bench: Bench) -> None:
    """From where it broke: nothing is fetched twice."""
    digest = _push(bench, "cut", 5 * MEGABYTE)
    bench.source.will(
        *(Fault("GET", digest, cut_after=size) for size in (2_000_000, 1_500_000, 1_000_000))
    )

    _arrived(bench, "cut", bench.mirror("cut:1"))

    ranges = [each.headers.get("range", "") for each in bench.source.seen if digest in each.target]
    starts = [int(re.sub(r"\D", "", each) or 0) for each in ranges]
    assert starts == [0, 2_000_000, 3_500_000, 4_500_000]
    assert any("broke off at" in line and "of 5,0" in line for line in bench.told)
    assert len(bench.target.lines("PUT", f"digest={digest}")) == 1, "the upload was to go on"


def test_a_source_that_cannot_resume(bench: Bench) -> None:
    """It sends all of it again, and what is there already is left out."""
    digest = _push(bench, "whole", 2 * MEGABYTE)
    body = bench.pusher.request("GET", f"/v2/whole/blobs/{digest}")[2]
    octets = {"Content-Type": "application/octet-stream"}
    bench.source.will(
        Fault("GET", digest, cut_after=MEGABYTE), Fault("GET", digest, 200, octets, body)
    )

    _arrived(bench, "whole", bench.mirror("whole:1"))


def test_a_download_that_never_gets_further(bench: Bench) -> None:
    """It is given up after six tries; no tag is left behind."""
    digest = _push(bench, "stuck", MEGABYTE)
    bench.source.will(Fault("GET", digest, cut_after=0, times=100))

    said = _failure(bench, "stuck")

    assert said.startswith(f"{bench.source.host}/stuck@{digest}: broke off at 0 of 1,0")
    assert len(bench.source.lines("GET", digest)) == 6


@pytest.mark.parametrize("after", [0, 1_000_000])
def test_an_upload_that_is_reset(bench: Bench, after: int) -> None:
    """It is begun again, in a new upload."""
    name = f"reset-{after}"
    _push(bench, name, 3 * MEGABYTE)
    bench.target.will(Fault("PUT", "/blobs/uploads/", reset_after=after, times=2))

    _arrived(bench, name, bench.mirror(f"{name}:1"))


def test_a_blob_that_is_not_what_it_should_be(bench: Bench) -> None:
    """It is fetched again, and nothing of the wrong bytes stays."""
    digest = _push(bench, "wrong")
    bench.source.will(Fault("GET", digest, changes=True))

    _arrived(bench, "wrong", bench.mirror("wrong:1"))

    assert len(bench.source.lines("GET", digest)) == 2
    assert any("other bytes than the digest promises" in line for line in bench.told)


def test_a_blob_that_is_always_wrong(bench: Bench) -> None:
    """It is not stored under a name that promises something else."""
    digest = _push(bench, "forged")
    body = b"x" * len(bench.pusher.request("GET", f"/v2/forged/blobs/{digest}")[2])
    octets = {"Content-Type": "application/octet-stream"}
    bench.source.will(Fault("GET", digest, 200, octets, body, times=100))

    assert "sent other bytes than the digest promises: push it anew" in _failure(bench, "forged")
    assert bench.arrived.request("HEAD", f"/v2/mirror/forged/blobs/{digest}")[0] == 404


def test_a_manifest_that_is_not_what_it_should_be(bench: Bench) -> None:
    """Also when the source itself is asked for a digest."""
    _push(bench, "altered")
    bench.source.will(Fault("GET", "/manifests/sha256", changes=True))

    _arrived(bench, "altered", bench.mirror("altered:1"))

    bench.source.will(*(Fault("GET", "/manifests/sha256", changes=True) for _ in range(6)))
    [result] = bench.mirror(bench.external("altered:1", "altered:2"))
    assert "another manifest than the digest promises" in str(result.error)


def test_an_answer_without_the_digest(bench: Bench) -> None:
    """Some registries leave it out of HEAD; then the manifest itself tells."""
    _push(bench, "silent")
    bench.source.will(Fault("HEAD", "/manifests/", without="Docker-Content-Digest"))

    _arrived(bench, "silent", bench.mirror("silent:1"))


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v2/$"), ("HEAD", "/manifests/"), ("GET", "/blobs/")]
)
@pytest.mark.parametrize("status", [200, 404])
def test_a_page_for_people(bench: Bench, method: str, path: str, status: int) -> None:
    """A login page or an error page of a proxy is no registry, and no image."""
    name = f"page-{status}-{len(path)}-{method}".lower()
    _push(bench, name)
    bench.source.will(Fault(method, path, status, PAGE, b"<html>log in</html>", times=100))

    assert _failure(bench, name).endswith(
        f"something else answers there ({status}, no registry): correct the host name"
    )


def test_a_mount_that_is_refused(bench: Bench) -> None:
    """The blob is copied instead."""
    base = layer("refused-base", 50_000)
    for name in ("a", "b", "c"):
        bench.pusher.image(f"refused-{name}", "1", [base, layer(name)])
    bench.target.will(Fault("POST", "mount=", 405), Fault("POST", "mount=", 401))

    results = bench.mirror("refused-a:1", "refused-b:1", "refused-c:1", jobs=1)

    assert words(results) == ["copied"] * 3
    assert sum(result.mounted for result in results) == 0
    assert len(bench.source.lines("GET", base.digest)) == 3


def test_a_mount_that_becomes_an_upload(bench: Bench) -> None:
    """A registry may begin an upload instead of refusing: it is used, if it is still there."""
    data = layer("instead", 50_000).data
    target = parse_reference(f"{bench.target.host}/mirror/instead")
    blob = Descriptor(digest_of(data), "", len(data))
    gone = Fault("POST", "mount=", 202, {"Location": "/v2/mirror/instead/blobs/uploads/gone"})
    client = bench.client()

    assert not client.mount_blob(target, blob.digest, parse_reference("nowhere/nothing"))
    client.write_blob(target, blob, [data])
    bench.target.will(gone)
    assert not client.mount_blob(target, blob.digest, parse_reference("nowhere/nothing"))
    client.write_blob(target, blob, [data[:9], data[9:]])

    posts = bench.target.lines("POST")
    assert [f"mount={blob.digest}" in each for each in posts] == [True, True, False]
    assert client.has_blob(target, blob.digest)


def test_a_blob_that_is_not_there_yet(bench: Bench) -> None:
    """Another run may be writing it at this moment: the manifest is sent again."""
    _push(bench, "notyet")
    unknown = as_json({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN", "message": "unknown"}]})
    bench.target.will(Fault("PUT", "/manifests/1", 400, body=unknown, times=2))

    _arrived(bench, "notyet", bench.mirror("notyet:1"))


def test_one_image_that_fails(bench: Bench) -> None:
    """The others are there, and the blob that it shares with them as well."""
    base = layer("together", 200_000)
    bench.pusher.image("bad", "1", [base, layer("bad", 1000)])
    bench.pusher.image("good", "1", [base, layer("good", 1000)])
    bench.source.will(Fault("GET", "/bad/blobs/", 403, times=100))

    results = bench.mirror("bad:1", "good:1")

    assert words(results) == ["failed", "copied"]
    assert bench.arrived.raw("mirror/good", "1") == bench.pusher.raw("good", "1")
    assert bench.arrived.tags("mirror/bad") == []


def test_somebody_else_writes_the_tag(bench: Bench) -> None:
    """After the copy the tag is looked at: what it stands for must be what was copied."""
    _push(bench, "contested")
    bench.pusher.image("contested-other", "1", [layer("other")])
    bench.mirror(bench.external("contested-other:1", "contested:2"))
    other = bench.arrived.raw("mirror/contested", "2")

    def meanwhile(seen: object) -> None:
        if bench.target.lines("PUT", "/manifests/1") and seen is bench.target.seen[-1]:
            path = "/v2/mirror/contested/manifests/1"
            kind = "application/vnd.oci.image.manifest.v1+json"
            if seen.method == "HEAD":  # type: ignore[attr-defined]
                bench.arrived.request("PUT", path, other, kind)

    bench.target.watch = meanwhile

    [result] = bench.mirror("contested:1")

    assert "stands for something else than what was just stored" in str(result.error)
