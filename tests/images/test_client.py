"""What else the client of registries can do: large uploads, lists, deleting."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.references import Reference, parse_reference
from codexctl_tasks.registry.interface import Descriptor, RegistryError
from tests.support.faulty_proxy import Fault, as_json
from tests.support.images import OCI_MANIFEST, digest_of, layer

if TYPE_CHECKING:
    from codexctl_tasks.registry.client import RegistryClient
    from tests.images.conftest import Bench

PART = 100_000
SIZE = 520_000


def _target(bench: Bench, name: str) -> Reference:
    return parse_reference(f"{bench.target.host}/large/{name}")


def _copy(bench: Bench, name: str) -> tuple[RegistryClient, Descriptor]:
    """Copy a large blob in parts; return who did it, and what."""
    data = layer(name, SIZE).data
    source = parse_reference(f"{bench.source.host}/large/{name}")
    blob = Descriptor(bench.pusher.blob(f"large/{name}", data), "", len(data))
    client = bench.client(part=PART)
    client.write_blob(_target(bench, name), blob, client.read_blob(source, blob))
    held = bench.arrived.request("GET", f"/v2/large/{name}/blobs/{blob.digest}")[2]
    assert held == data
    return client, blob


def _parts(bench: Bench) -> list[int]:
    """Return where each part that was sent began."""
    ranges = [each.headers["content-range"] for each in bench.target.seen if each.method == "PATCH"]
    return [int(each.partition("-")[0]) for each in ranges]


def test_a_large_blob_goes_in_parts(bench: Bench) -> None:
    """Each is confirmed before the next one is sent."""
    _copy(bench, "parts")

    assert _parts(bench) == [0, PART, 2 * PART, 3 * PART, 4 * PART, 5 * PART]
    assert len(bench.target.lines("POST")) == len(bench.target.lines("PUT")) == 1
    assert len(bench.source.lines("GET", "/blobs/")) == 1


@pytest.mark.parametrize("fault", [{"status": 503}, {"reset_after": 60_000}])
def test_a_part_that_fails_is_sent_again(bench: Bench, fault: dict[str, int]) -> None:
    """Only from where the registry has got to; the source is asked for no more than that."""
    name = f"again-{'-'.join(fault)}".replace("_", "-")
    seen = bench.target
    ready = Fault("PATCH", "/blobs/uploads/", times=0)
    broken = Fault("PATCH", "/blobs/uploads/", times=1, **fault)
    count = 0

    def third(each: object) -> None:
        nonlocal count
        count += getattr(each, "method", "") == "PATCH"
        if count == 2:
            seen.faults[:] = [ready, broken]

    seen.watch = third
    _copy(bench, name)

    parts = _parts(bench)
    assert parts[:3] == [0, PART, 2 * PART]
    assert 2 * PART <= parts[3] <= 3 * PART
    assert len(bench.target.lines("POST")) == 1
    ranges = [each.headers.get("range") for each in bench.source.seen if "/blobs/" in each.target]
    assert ranges[0] is None


def test_an_upload_that_the_registry_has_forgotten(bench: Bench) -> None:
    """It is begun anew."""
    gone = as_json({"errors": [{"code": "BLOB_UPLOAD_UNKNOWN"}]})
    bench.target.will(
        Fault("PATCH", "/blobs/uploads/", 404, body=gone),
        Fault("GET", "/blobs/uploads/", 404, body=gone),
    )

    _copy(bench, "forgotten")

    assert len(bench.target.lines("POST")) == 2


@pytest.mark.parametrize("status", [405, 413, 416])
def test_a_registry_that_takes_no_parts(bench: Bench, status: int) -> None:
    """It gets the blob as a whole."""
    bench.target.will(Fault("PATCH", "/blobs/uploads/", status))

    _copy(bench, f"whole-{status}")

    assert len(bench.target.lines("PATCH")) == 1
    assert int(bench.target.seen[-1].headers["content-length"]) > SIZE


def test_a_large_blob_that_is_wrong(bench: Bench) -> None:
    """All of it is fetched and sent anew."""
    bench.source.will(Fault("GET", "/blobs/", changes=True))

    _copy(bench, "wrong")

    assert _parts(bench).count(0) == 2


def test_tags_on_many_pages(bench: Bench) -> None:
    """All of them, however many the registry gives at a time."""
    first = as_json({"name": "pages", "tags": ["1", "2"]})
    link = {"Link": '</v2/pages/tags/list?last=2&n=2>; rel="next"'}
    last = as_json({"name": "pages", "tags": ["3"]})
    bench.source.will(
        Fault("GET", "/tags/list", 200, link, first), Fault("GET", "last=2", 200, body=last)
    )
    pages = parse_reference(f"{bench.source.host}/pages")

    assert bench.client().tags(pages) == ["1", "2", "3"]

    elsewhere = {"Link": '<https://example.com/v2/pages/tags/list?last=2>; rel="next"'}
    bench.source.will(Fault("GET", "/tags/list", 200, elsewhere, first))
    with pytest.raises(RegistryError, match="continues its list of tags on another host"):
        bench.client().tags(pages)


def test_tags_of_a_real_registry(bench: Bench) -> None:
    """Of a repository that there is not: none."""
    bench.pusher.image("listed", "1", [layer("listed")])
    bench.pusher.image("listed", "2", [layer("listed")])
    client = bench.client()

    assert sorted(client.tags(parse_reference(f"{bench.source.host}/listed"))) == ["1", "2"]
    assert client.tags(parse_reference(f"{bench.source.host}/unlisted")) == []
    bench.source.will(Fault("GET", "/tags/list", 200, body=b"[]"))
    with pytest.raises(RegistryError, match="no list of tags"):
        client.tags(parse_reference(f"{bench.source.host}/listed"))


def test_an_answer_that_breaks_off(bench: Bench) -> None:
    """Lists and manifests are asked for again, from their beginning."""
    entry = bench.pusher.image("broken", "1", [layer("broken")])
    reference = parse_reference(f"{bench.source.host}/broken:1")
    for part in ("/tags/list", "/manifests/"):
        bench.source.will(Fault("GET", part, cut_after=5))
    client = bench.client()

    assert client.tags(reference) == ["1"]
    manifest = client.fetch(reference)
    assert manifest is not None
    assert manifest.digest == entry["digest"]
    assert len(bench.clock.sleeps) == 2


def test_a_blob_that_is_kept_somewhere_else(bench: Bench) -> None:
    """Whoever sends us there has it; the address may be good for GET alone, so it is not tried."""
    there = {"Location": "https://storage.example/blob?for=GET"}
    bench.source.will(Fault("HEAD", "/blobs/", 307, there))
    repository = parse_reference(f"{bench.source.host}/elsewhere")

    assert bench.client().has_blob(repository, digest_of(b""))


def test_a_registry_that_calls_nothing_a_page(bench: Bench) -> None:
    """An empty answer of that kind is no page if a registry has signed it."""
    page = {"Content-Type": "text/html", "Docker-Distribution-Api-Version": "registry/2.0"}
    bench.source.will(Fault("HEAD", "/blobs/", 200, page, b""))

    assert bench.client().has_blob(parse_reference(f"{bench.source.host}/odd"), digest_of(b""))


def test_deleting(bench: Bench) -> None:
    """A digest, with every tag on it; what is gone already is no failure."""
    digest = bench.pusher.image("deleted", "1", [layer("deleted")])["digest"]
    client = bench.client()
    reference = parse_reference(f"{bench.source.host}/deleted").with_digest(digest)

    assert client.delete(reference)
    assert client.find(parse_reference(f"{bench.source.host}/deleted:1")) is None
    assert not client.delete(reference)
    unsupported = as_json({"errors": [{"code": "UNSUPPORTED", "message": "not here"}]})
    bench.source.will(Fault("DELETE", "/manifests/", 405, body=unsupported))
    with pytest.raises(RegistryError, match=r"answered 405: UNSUPPORTED: not here: allow it in"):
        client.delete(reference)


def test_finding(bench: Bench) -> None:
    """Digest, kind and size, by HEAD alone."""
    entry = bench.pusher.image("found", "1", [layer("found")])
    reference = parse_reference(f"{bench.source.host}/found:1")

    found = bench.client().find(reference)

    assert found == Descriptor(entry["digest"], OCI_MANIFEST, entry["size"])
    assert bench.source.lines() == ["HEAD /v2/found/manifests/1"]


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        (b"nonsense", OCI_MANIFEST, "something that is no manifest"),
        (b"{}", "application/json", "a kind that codexctl does not know: none is given"),
        (
            b"{}",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "a kind that codexctl does not know",
        ),
        (b" " * (4 * 2**20 + 1), OCI_MANIFEST, "larger than any manifest may be"),
    ],
    ids=["no JSON", "no kind", "schema 1", "too large"],
)
def test_what_is_no_manifest(bench: Bench, body: bytes, kind: str, what: str) -> None:
    """Named, with the image."""
    bench.source.will(Fault("GET", "/manifests/", 200, {"Content-Type": kind}, body))

    with pytest.raises(RegistryError, match=rf"/odd:1: .*{re.escape(what)}"):
        bench.client().fetch(parse_reference(f"{bench.source.host}/odd:1"))


def test_a_digest_that_nobody_should_trust(bench: Bench) -> None:
    """MD5 proves nothing."""
    reference = parse_reference(f"{bench.source.host}/weak@md5:{'0' * 32}")

    with pytest.raises(RegistryError, match="does not verify: md5"):
        list(bench.client().read_blob(reference, Descriptor(reference.digest, "", 1)))


def test_a_blob_with_a_longer_digest(bench: Bench) -> None:
    """The other algorithm of the specification is verified as well."""
    import hashlib

    data = b"0123456789"
    digest = f"sha512:{hashlib.sha512(data).hexdigest()}"
    octets = {"Content-Type": "application/octet-stream"}
    bench.source.will(Fault("GET", "/blobs/", 200, octets, data, times=2))
    repository = parse_reference(f"{bench.source.host}/long")
    client = bench.client()

    assert b"".join(client.read_blob(repository, Descriptor(digest, "", 10))) == data
    with pytest.raises(RegistryError, match="sent more than 9 bytes"):
        list(client.read_blob(repository, Descriptor(digest, "", 9)))
