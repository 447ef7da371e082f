"""`codex.ensure-codex-secrets`: the Secrets of an agent, and no value where it can be read."""

from __future__ import annotations

import os
import traceback
from base64 import b64decode, b64encode
from typing import Any

import pytest
from pydantic import ValidationError

from codexctl_tasks.errors import (
    ClusterError,
    CodexctlError,
    ConfigurationError,
    TransientClusterError,
)
from codexctl_tasks.hooks.builtin.codex_secrets import LARGEST, ensure_codex_secrets
from tests.support.fakes import FakeCluster
from tests.support.hooks import HookBench

KEYS = {
    "OPENAI_API_KEY": "sk-openai-value",
    "CODEXCTL_GH_PAT": "ghp_value_of_github",
    "CONTEXT7_API_KEY": "ctx7-value",
}
SPACE = "shop-dev-3"


def _bench(variables: dict[str, str] | None = None, **more: Any) -> HookBench:
    return HookBench(
        ensure_codex_secrets, variables=KEYS if variables is None else variables, **more
    )


def _stored(bench: HookBench, namespace: str = SPACE) -> dict[str, dict[str, bytes]]:
    return {
        name: {key: b64decode(value) for key, value in found["data"].items()}
        for (kind, space, name), found in bench.cluster.objects.items()
        if (kind, space) == ("Secret", namespace)
    }


def _existing(name: str, data: dict[str, bytes], **more: Any) -> FakeCluster:
    """Return a cluster in which somebody else has made a Secret."""
    cluster = FakeCluster()
    encoded = {key: b64encode(value).decode() for key, value in data.items()}
    metadata = {"name": name, "uid": "u", "resourceVersion": "5", **more.pop("metadata", {})}
    cluster.objects["Secret", SPACE, name] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": encoded,
        **more,
    }
    return cluster


def _writes(bench: HookBench) -> list[str]:
    return [call for call in bench.cluster.calls if call.startswith("apply")]


def test_the_three_usual_ones() -> None:
    """What an agent needs is there after one line of configuration."""
    bench = _bench()

    said = bench.run()

    assert _stored(bench) == {
        "openai-secret": {"OPENAI_API_KEY": b"sk-openai-value"},
        "github-secret": {"CODEXCTL_GH_PAT": b"ghp_value_of_github"},
        "context7-secret": {"CONTEXT7_API_KEY": b"ctx7-value"},
    }
    assert bench.cluster.objects["Secret", SPACE, "openai-secret"]["type"] == "Opaque"
    assert "created Secret shop-dev-3/openai-secret" in said
    assert "warning" not in said


def test_only_what_has_a_value() -> None:
    """One warning names the variables that are missing, an empty one among them."""
    bench = _bench({"OPENAI_API_KEY": "sk-openai-value", "CONTEXT7_API_KEY": ""})

    said = bench.run()

    assert list(_stored(bench)) == ["openai-secret"]
    assert (
        "warning: codex.ensure-codex-secrets: not set: CODEXCTL_GH_PAT or CODEX_GH_PAT "
        "(for github-secret); CONTEXT7_API_KEY (for context7-secret)\n"
    ) in said


def test_without_any_value_nobody_is_asked() -> None:
    """A laptop without credentials needs no cluster for this step."""
    bench = _bench({})

    said = bench.run()

    assert bench.cluster.calls == []
    assert "not set: OPENAI_API_KEY" in said


def test_the_older_name_of_the_github_token() -> None:
    """It counts when the new one is not set."""
    bench = _bench({"CODEX_GH_PAT": "older", "CODEXCTL_GH_PAT": ""})

    bench.run()

    assert _stored(bench) == {"github-secret": {"CODEXCTL_GH_PAT": b"older"}}


def test_the_step_may_choose_names_keys_and_variables() -> None:
    """Entries replace the usual one of their name, add to them, or switch one off."""
    bench = _bench({**KEYS, "TEAM_KEY": "team", "MAIL_USER": "bot", "MAIL_PASSWORD": "secret"})

    bench.run(
        namespace="other",
        secrets={
            "openai-secret": {"KEY": ["NOT_SET", "TEAM_KEY"]},
            "context7-secret": None,
            "github-secret": "",
            "mail.secret": {"user": "MAIL_USER", "pass.word": "MAIL_PASSWORD"},
        },
    )

    assert _stored(bench, "other") == {
        "openai-secret": {"KEY": b"team"},
        "mail.secret": {"user": b"bot", "pass.word": b"secret"},
    }


def test_what_is_as_it_should_be_is_not_written() -> None:
    """The second run reads, and that is all."""
    bench = _bench()
    bench.run()
    bench.cluster.calls.clear()

    said = bench.run()

    assert bench.cluster.calls == [
        f"get Secret {name}" for name in ("openai-secret", "github-secret", "context7-secret")
    ]
    assert "unchanged Secret shop-dev-3/openai-secret" in said


def test_only_our_keys_are_compared() -> None:
    """What others keep in the same Secret is their own affair."""
    data = {"OPENAI_API_KEY": b"sk-openai-value", "theirs": b"x"}
    bench = _bench(cluster=_existing("openai-secret", data))

    bench.run()

    assert "apply Secret openai-secret force" not in bench.cluster.calls


def test_a_key_whose_variable_is_not_set_keeps_its_value() -> None:
    """A run without the password does not take it away from those who use it."""
    keys = {"mail": {"USER": "MAIL_USER", "PASSWORD": "MAIL_PASSWORD"}}
    bench = _bench({"MAIL_USER": "bot", "MAIL_PASSWORD": "secret"})
    bench.run(secrets=keys)
    bench.variables = {"MAIL_USER": "robot"}

    bench.run(secrets=keys)

    assert _stored(bench) == {"mail": {"USER": b"robot", "PASSWORD": b"secret"}}


def test_everything_is_tried_before_anything_is_written() -> None:
    """If one is refused, the others have not been changed either."""
    bench = _bench()
    bench.cluster.refusals["context7-secret"] = ClusterError("PATCH", "no", status=403)

    with pytest.raises(ClusterError, match="context7-secret: the API server answered 403"):
        bench.run()

    assert _writes(bench) == []


VALUES = [
    b"two\nlines\n",
    b"'\"`$(id)${HOME}\\",
    b"\xff\xfe\x00binary",
    b" blanks \t",
    "Gruß 🙂".encode(),
    bytes(range(256)) * (LARGEST // 256),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value[:20]))
def test_a_value_arrives_unchanged(value: bytes) -> None:
    """Byte by byte, up to all that a Secret may hold."""
    bench = _bench({"OPENAI_API_KEY": os.fsdecode(value)})

    bench.run()

    assert _stored(bench) == {"openai-secret": {"OPENAI_API_KEY": value}}


def test_more_than_a_secret_can_hold() -> None:
    """It is told before anything is sent."""
    half = "x" * (LARGEST // 2)
    bench = _bench({"A": half, "B": half + "y"})

    with pytest.raises(ConfigurationError) as caught:
        bench.run(secrets={"large": {"a": "A", "b": "B"}})

    assert "Secret large would hold 1048577 bytes; Kubernetes takes at most 1048576" in str(
        caught.value
    )
    assert bench.cluster.calls == []


def test_a_value_that_is_no_bytes() -> None:
    """A lone half of a character cannot be sent; the line does not show what it stands in."""
    bench = _bench({"OPENAI_API_KEY": "sk-very-secret\ud800"})

    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY is neither text") as caught:
        bench.run()

    assert "very-secret" not in "".join(traceback.format_exception(caught.value))


MISTAKES: list[tuple[Any, str]] = [
    ("ghp_leaked-value", "it is no mapping of names to keys"),
    ({"github-secret": "ghp_leaked-value"}, "github-secret is no mapping of keys to variables"),
    ({"github-secret": {"A": "ghp-leaked-value"}}, "github-secret.A is not the name of a variable"),
    ({"github-secret": {"A": ["B", "ghp-leaked-value"]}}, "github-secret.A is not the name"),
    ({"github-secret": {"A": {"B": "ghp-leaked-value"}}}, "github-secret.A is not the name"),
    ({"github-secret": {"A": ""}}, "github-secret.A is not the name of a variable"),
    ({"github-secret": {"A": None}}, "github-secret.A is not the name of a variable"),
    ({"github-secret": {"A": []}}, "github-secret.A names no variable"),
    ({"github-secret": {"A B": "X"}}, "github-secret has 'A B', which cannot be a key"),
    ({"github-secret": {"..": "X"}}, "github-secret has '..', which cannot be a key"),
    ({"github-secret": {"": "X"}}, "github-secret has '', which cannot be a key"),
    ({"GitHub": {"A": "X"}}, "'GitHub' cannot be the name of a Secret"),
    ({"a_b": {"A": "X"}}, "'a_b' cannot be the name of a Secret"),
    ({"a..b": {"A": "X"}}, "'a..b' cannot be the name of a Secret"),
    ({"a\n": {"A": "X"}}, "cannot be the name of a Secret"),
    ({"x" * 254: {"A": "X"}}, "cannot be the name of a Secret"),
    ({"": {"A": "X"}}, "'' cannot be the name of a Secret"),
]


@pytest.mark.parametrize(("secrets", "expected"), MISTAKES)
def test_mistakes_in_the_secrets(secrets: Any, expected: str) -> None:
    """They are told before anything happens; a value in place of a name is not repeated."""
    with pytest.raises(ValidationError) as caught:
        _bench().run(secrets=secrets)

    assert expected in str(caught.value)
    assert "leaked-value" not in str(caught.value)


@pytest.mark.parametrize("namespace", ["Shop", "a.b", "-a", "a" * 64, "a/b"])
def test_mistakes_in_the_namespace(namespace: str) -> None:
    """What cannot be a namespace is refused before anything happens."""
    with pytest.raises(ValidationError, match="no name of a namespace"):
        _bench().run(namespace=namespace)


def test_without_a_namespace() -> None:
    """A hook that is run alone may know none."""
    with pytest.raises(ConfigurationError, match="neither namespace nor --env"):
        _bench(namespace="").run()


def test_an_immutable_secret_with_another_value() -> None:
    """It can only be deleted; nothing has been changed."""
    cluster = _existing("context7-secret", {"CONTEXT7_API_KEY": b"old"}, immutable=True)
    bench = _bench(cluster=cluster)

    with pytest.raises(ClusterError) as caught:
        bench.run()

    assert str(caught.value) == (
        "Secret shop-dev-3/context7-secret: holds other values and is immutable: "
        "delete it, and run again"
    )
    assert _writes(bench) == []


def test_an_immutable_secret_with_the_right_value() -> None:
    """There is nothing to do."""
    data = {"CONTEXT7_API_KEY": b"ctx7-value"}
    bench = _bench(cluster=_existing("context7-secret", data, immutable=True))

    assert "unchanged Secret shop-dev-3/context7-secret" in bench.run()


@pytest.mark.parametrize("value", [b"ctx7-value", b"old"])
def test_a_secret_that_is_being_deleted(value: bytes) -> None:
    """What it holds, or what is written into it now, vanishes with it."""
    gone = {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    bench = _bench(cluster=_existing("context7-secret", {"CONTEXT7_API_KEY": value}, **gone))

    with pytest.raises(ClusterError, match="is being deleted, so what is written now"):
        bench.run()


def test_the_type_of_a_secret_is_kept() -> None:
    """It can never be changed, so asking for another one would only be refused."""
    cluster = _existing("openai-secret", {}, type="example.com/key")
    bench = _bench(cluster=cluster)

    bench.run()

    assert cluster.objects["Secret", SPACE, "openai-secret"]["type"] == "example.com/key"
    assert _stored(bench)["openai-secret"] == {"OPENAI_API_KEY": b"sk-openai-value"}


QUOTED = b64encode(b"sk-openai-value").decode()
ANSWERS = [
    (403, 'User "bot" cannot patch resource "secrets" in API group ""', "get, create and patch"),
    (403, "exceeded quota: few, requested: secrets=1, used: secrets=3", "used: secrets=3"),
    (400, f'admission webhook "w.x" denied the request: no {QUOTED}', 'webhook "w.x" denied the'),
    (422, f'Secret "x" is invalid: data: Invalid value: "{QUOTED}"', "answered 422: Reason"),
    (404, 'namespaces "shop-dev-3" not found', "namespace shop-dev-3: does not exist: create it"),
    (403, "x because it is being terminated", "namespace shop-dev-3: is being deleted"),
    (401, "Unauthorized", "log in again"),
    (500, f"trouble with {QUOTED}", "answered 500: Reason"),
]


@pytest.mark.parametrize("kind", [ClusterError, TransientClusterError])
@pytest.mark.parametrize(("status", "message", "expected"), ANSWERS)
def test_what_the_server_refuses(
    status: int, message: str, expected: str, kind: type[ClusterError]
) -> None:
    """One clear line with exit code 4; what the answer quotes of a value is not repeated."""
    bench = _bench()
    what = f"the API server answered {status}: {message}"
    bench.cluster.refusals["openai-secret"] = kind("PATCH", what, status=status, reason="Reason")

    with pytest.raises(CodexctlError) as caught:
        bench.run()

    assert expected in str(caught.value)
    assert caught.value.exit_code == 4
    shown = "".join(traceback.format_exception(caught.value)) + bench.said
    assert QUOTED not in shown
    assert _writes(bench) == []


def test_a_server_that_is_away() -> None:
    """The error of the connection is told as it is: it has seen no value."""
    bench = _bench()
    away = TransientClusterError("https://fake:6443", "cannot be reached: refused")
    bench.cluster.refusals["openai-secret"] = away

    with pytest.raises(TransientClusterError, match="cannot be reached"):
        bench.run()


def test_values_are_masked_from_then_on() -> None:
    """Whatever a later step prints of them is masked, also as Kubernetes writes it."""
    bench = _bench()
    said = bench.run()

    bench.context().tell(f"{KEYS['OPENAI_API_KEY']} {QUOTED}")

    assert bench.said.endswith("*** ***\n")
    assert not any(value in said for value in KEYS.values())
