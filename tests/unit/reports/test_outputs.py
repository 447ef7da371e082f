"""What later steps of a workflow read."""

from __future__ import annotations

import json

import pytest
import yaml

from codexctl_tasks.reports.outputs import in_github_syntax, public_address, step_outputs
from codexctl_tasks.stack.documents import read_documents
from codexctl_tasks.stack.manifests import read_manifests
from tests.support import stories


def test_later_steps_know_what_happened() -> None:
    """Result, names of what broke and exit code, without reading any log."""
    outputs = step_outputs(stories.broken())
    outputs.pop("report")
    assert outputs == {
        "result": "failed",
        "failed": "Deployment shop/web\nStatefulSet shop/worker\nDeployment shop/search",
        "exit-code": "1",
    }
    healthy = step_outputs(stories.healthy())
    assert [healthy[name] for name in ("result", "failed", "exit-code")] == ["healthy", "", "0"]
    assert step_outputs(stories.story(stories.LATE, exit_code=70))["result"] == "timed-out"


def test_values_of_several_lines_stay_one_value() -> None:
    """GitHub's syntax with a delimiter, also for empty values."""
    assert (
        in_github_syntax({"a": "x\ny=1", "b": ""}, "end") == "a<<end\nx\ny=1\nend\nb<<end\n\nend\n"
    )


def test_the_report_is_short_json() -> None:
    """A caller can post the causes somewhere without downloading anything."""
    report = json.loads(step_outputs(stories.broken())["report"])
    assert (report["result"], report["exitCode"]) == ("failed", 1)
    assert list(report["failed"]) == [
        "Deployment shop/web",
        "StatefulSet shop/worker",
        "Deployment shop/search",
    ]
    assert all(report["failed"].values())


@pytest.mark.parametrize(
    ("spec", "url"),
    [
        ({"rules": [{"host": "shop.test"}]}, "http://shop.test"),
        ({"rules": [{"host": "b.test"}], "tls": [{"hosts": ["b.test"]}]}, "https://b.test"),
        ({"rules": [{"host": "*.test"}, {"host": "a.test"}]}, "http://a.test"),
        ({"defaultBackend": {}}, ""),
    ],
)
def test_the_address_is_that_of_an_ingress(spec: dict[str, object], url: str) -> None:
    """The environment's page on GitHub links to where the deploy can be seen."""
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "x"}}
    text = yaml.safe_dump({**ingress, "spec": spec})
    assert public_address(read_manifests(read_documents(text, "x.yaml"))) == url
