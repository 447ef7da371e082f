"""The way of a run to its model, as far as it can be refused before anything is made."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import UsageError
from codexctl_tasks.flows.agent.way import way_to_model
from codexctl_tasks.settings import prompt_run_request
from codexctl_tasks.stack.loading import load_stack
from tests.support.fakes import FakeCluster, fake_outside

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fakes import FakeClock


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", "--model-url: is required without a key: set OPENAI_API_KEY or CODEXCTL_MODEL_KEY to"),
        ("sk-one\nsk-two", "OPENAI_API_KEY or CODEXCTL_MODEL_KEY: is no single word of printable"),
        ("sk-größe", "OPENAI_API_KEY or CODEXCTL_MODEL_KEY: is no single word of printable"),
    ],
    ids=["none", "two lines", "umlaut"],
)
def test_a_key_that_cannot_be_one_is_refused_before_a_proxy_is_made(
    key: str, problem: str, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret is named, not shown, and what to do; nothing is made in the cluster."""
    config = tmp_path / "services.yaml"
    config.write_text("project: shop\ncodex: {proxy: {image: agent:1}}\n")
    monkeypatch.setenv("OPENAI_API_KEY", key)
    monkeypatch.delenv("CODEXCTL_MODEL_KEY", raising=False)
    request = prompt_run_request(slot="1", config=str(config))
    cluster = FakeCluster()
    way = way_to_model(
        request,
        cluster,
        fake_outside(cluster, clock, io.StringIO()),
        load_stack(request.source),
        60,
    )
    with pytest.raises(UsageError) as refused, way:
        pass
    assert str(refused.value).startswith(problem)
    assert "sk-" not in str(refused.value)
