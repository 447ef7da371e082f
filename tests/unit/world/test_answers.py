"""What the API server's answers mean."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.errors import (
    Cause,
    ClusterError,
    Conflict,
    ExpiredError,
    Patience,
    TransientClusterError,
)
from codexctl_tasks.world.answers import (
    parse_discovery,
    parse_status,
    plain_message,
    refusal,
    warnings_in,
)
from codexctl_tasks.world.cluster import Resource


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (400, "bad", ClusterError),
        (401, "Unauthorized", ClusterError),
        (403, "forbidden", ClusterError),
        (404, "not found", ClusterError),
        (408, "slow", TransientClusterError),
        (409, "conflict", ClusterError),
        (410, "too old resource version", ExpiredError),
        (422, "Invalid value", ClusterError),
        (429, "too many requests", TransientClusterError),
        (500, "etcdserver: leader changed", TransientClusterError),
        (502, "bad gateway", TransientClusterError),
        (503, "unavailable", TransientClusterError),
        (504, "timeout", TransientClusterError),
        (500, 'admission webhook "x" denied the request: no', ClusterError),
        (500, "failed to create typed patch object (n/a; v1): .spec.x: unknown", ClusterError),
        (500, "failed to create typed live object (n/a; v1): .spec.x: unknown", ClusterError),
        (500, "failed to convert new object (n/a): illegal base64 data", ClusterError),
        (302, "moved", ClusterError),
    ],
)
def test_which_answers_pass_by_themselves(
    code: int, message: str, kind: type[ClusterError]
) -> None:
    """Only what another try can mend is repeated; a refusal is told at once."""
    error = refusal("PATCH", "/api/v1/x", code, {"message": message, "reason": "R"})

    assert type(error) is kind
    assert str(error).startswith(f"PATCH /api/v1/x: the API server answered {code}: {message}")
    assert (error.status, error.reason, error.exit_code) == (code, "R", 4)


@pytest.mark.parametrize(
    ("details", "header", "seconds"),
    [
        ({}, None, 0.0),
        ({}, "7", 7.0),
        ({"retryAfterSeconds": 3}, "7", 3.0),
        ({"retryAfterSeconds": 0}, "7", 7.0),
        ("rate limited by the gateway", "7", 7.0),
        (None, "7", 7.0),
        ({}, "Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ({}, "-1", 0.0),
    ],
)
def test_retry_after(details: Any, header: str | None, seconds: float) -> None:
    """The server says how long to wait in the body or in a header."""
    error = refusal("GET", "/", 429, {"details": details}, header)

    assert isinstance(error, TransientClusterError)
    assert error.retry_after_s == seconds


MODIFIED = "the object has been modified; please apply your changes to the latest version"
ON_QUOTA = 'Operation cannot be fulfilled on resourcequotas "q": '


@pytest.mark.parametrize(
    ("code", "message", "patience"),
    [
        (503, "shutting down", Patience.SERVER),
        (500, "etcdserver: leader changed", Patience.SERVER),
        (500, 'failed calling webhook "x": connection refused', Patience.WEBHOOK),
        (500, "conversion webhook for g/v1, Kind=T failed: EOF", Patience.WEBHOOK),
        (500, 'failed calling webhook "x": it denied the request', None),
        (400, 'failed calling webhook "x": bad answer', None),
        (409, f'Operation cannot be fulfilled on configmaps "a": {MODIFIED}', Patience.CONTENTION),
        (409, ON_QUOTA + MODIFIED, Patience.CONTENTION),
        (409, ON_QUOTA + "Precondition failed: UID in precondition: u", None),
        (409, 'resourcequotas "q" already exists', None),
        (409, 'Apply failed with 1 conflict: conflict with "kubectl": .data.a', None),
    ],
)
def test_which_patience_an_answer_asks_for(
    code: int, message: str, patience: Patience | None
) -> None:
    """A starting webhook, a busy quota and a restarting server are waited for differently."""
    error = refusal("PATCH", "/", code, {"message": message})

    assert getattr(error, "patience", None) is patience


def test_an_outdated_version_is_no_contention() -> None:
    """The same request would fail for ever; trouble of the server passes all the same."""
    outdated = refusal("PUT", "/", 409, {"message": MODIFIED}, versioned=True)
    busy = refusal("PUT", "/", 503, {"message": "busy"}, versioned=True)

    assert type(outdated) is ClusterError
    assert type(busy) is TransientClusterError


@pytest.mark.parametrize(
    ("headers", "texts"),
    [
        ([], ()),
        (['299 - "one"'], ("one",)),
        (['299 - "one", 299 - "two"', '299 agent "three"'], ("one", "two", "three")),
        (
            [r'299 - "unknown field \"spec.x\", 299 - \"y\""'],
            ('unknown field "spec.x", 299 - "y"',),
        ),
        ([r'299 - "back\\slash"'], (r"back\slash",)),
        (['299 - "dated" "Wed, 21 Oct 2015 07:28:00 GMT"'], ("dated",)),
        ([b'299 - "Gr\xc3\xbc\xc3\x9fe"'.decode("latin-1")], ("Grüße",)),
        (['214 - "transformed"', "299 - unquoted", '299 - "open', "", "\u20ac"], ()),
        (['299 - ""'], ("",)),
    ],
)
def test_warnings(headers: list[str], texts: tuple[str, ...]) -> None:
    """What the server warns of is shown as it was meant, whatever else is in the header."""
    assert warnings_in(headers) == texts


def test_blamed_fields_are_kept() -> None:
    """A validation error names the fields, so that their lines can be found."""
    causes = [{"field": "spec.replicas"}, {"message": "no field"}, "no cause at all"]

    assert refusal("PATCH", "/", 422, {"details": {"causes": causes}}).causes == (
        Cause("spec.replicas", ""),
        Cause("", "no field"),
    )


def test_who_owns_a_field_is_kept() -> None:
    """A conflict names the other manager, so that it can be decided who has to yield."""
    message = 'conflict with "kubectl" with subresource "scale" using apps/v1'
    causes = [
        {"reason": "FieldManagerConflict", "field": ".spec.replicas", "message": message},
        {"reason": "FieldManagerConflict", "field": ".data", "message": 'conflict with "helm": x'},
        {"reason": "FieldManagerConflict", "field": ".spec", "message": "in other words"},
        {"reason": "FieldValueInvalid", "field": ".spec.x"},
    ]

    assert refusal("PATCH", "/", 409, {"details": {"causes": causes}}).conflicts == (
        Conflict(".spec.replicas", "kubectl", "scale"),
        Conflict(".data", "helm"),
        Conflict(".spec", "unknown"),
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"message": "m"}', "m"),
        (b"<html>proxy</html>", "<html>proxy</html>"),
        (b"", ""),
        (b"[1]", "[1]"),
        (b"\xff" + b"x" * 1000, "\ufffd" + "x" * 299),
    ],
    ids=["status", "proxy", "empty", "list", "binary"],
)
def test_any_body_makes_a_status(data: bytes, message: str) -> None:
    """A proxy's error page is shown, shortened, instead of breaking the report."""
    assert parse_status(data).get("message") == message


def test_discovery() -> None:
    """Kinds of the core and of named groups, namespaced or not; broken groups have none."""
    answer = {
        "items": [
            {
                "metadata": {},
                "versions": [
                    {
                        "version": "v1",
                        "resources": [
                            {
                                "resource": "pods",
                                "scope": "Namespaced",
                                "responseKind": {"kind": "Pod"},
                                "subresources": [{"subresource": "log"}],
                            }
                        ],
                    }
                ],
            },
            {
                "metadata": {"name": "g.io"},
                "versions": [
                    {
                        "version": "v2",
                        "resources": [
                            {
                                "resource": "things",
                                "scope": "Cluster",
                                "responseKind": {"kind": "Thing"},
                            }
                        ],
                    },
                    {"version": "v3", "freshness": "Stale"},
                ],
            },
        ]
    }

    assert list(parse_discovery(answer)) == [
        Resource("v1", "Pod", "pods", namespaced=True),
        Resource("g.io/v2", "Thing", "things", namespaced=False),
    ]


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        (Resource("v1", "Pod", "pods", namespaced=True), "/api/v1/namespaces/n/pods/x"),
        (Resource("v1", "Namespace", "namespaces", namespaced=False), "/api/v1/namespaces/x"),
        (Resource("g.io/v1", "T", "ts", namespaced=True), "/apis/g.io/v1/namespaces/n/ts/x"),
    ],
)
def test_paths(resource: Resource, path: str) -> None:
    """Core and groups, namespaced and cluster-wide objects each have their address."""
    assert resource.path("n", "x") == path


def test_library_noise_is_removed_from_messages() -> None:
    """Users read the reason, not the address of a Python object."""
    noisy = "<urllib3.connection.HTTPSConnection object at 0x7f3>: Failed to establish: refused"

    assert plain_message(OSError(noisy)) == "Failed to establish: refused"
    late = OSError("HTTPSConnectionPool(host='c', port=1): Read timed out")
    assert plain_message(late) == "Read timed out"
    assert plain_message(ConnectionResetError()) == "ConnectionResetError()"
    gone = OSError("Connection aborted.", ConnectionResetError("reset by peer"))
    assert plain_message(gone) == "Connection aborted: reset by peer"
    cut = OSError("Connection broken: ValueError('x')", ValueError("x"))
    assert plain_message(cut) == "Connection broken: ValueError('x')"
