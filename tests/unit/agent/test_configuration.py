"""The agent's configuration: what a project writes, what it must not change, what is wrong."""

from __future__ import annotations

import datetime as dt
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.agent.configuration import Configuration, configuration
from codexctl_tasks.agent.toml import write_table
from codexctl_tasks.errors import CodexctlError

if TYPE_CHECKING:
    from tests.support.project import Project

URL, FOLDER = "http://proxy.model.svc:8080/v1", "/workspace/shop"
STACK = "project: shop\ncodex:\n"


def made(project: Project, codex: str = "", *, servers: bool = True, **given: Any) -> Configuration:
    """Return the configuration of a stack with this below ``codex``."""
    text = STACK + codex if codex else "project: shop\n"
    loaded = project.load(text, env="ai", slot="3", **given)
    return configuration(loaded, model_url=URL, folder=FOLDER, has_servers=servers)


def table(project: Project, codex: str = "", **given: Any) -> dict[str, Any]:
    """Return the same as a table."""
    return tomllib.loads(made(project, codex, **given).text)


def problem(project: Project, codex: str, **given: Any) -> str:
    """Return what is wrong."""
    with pytest.raises(CodexctlError) as caught:
        made(project, codex, **given)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_the_model_is_behind_the_proxy_and_the_workspace_configures_nothing(
    project: Project,
) -> None:
    """Without a word of the project the agent is reachable by nobody but the run's own token."""
    found = table(project)
    provider = found["model_providers"][found["model_provider"]]
    assert (provider["base_url"], provider["env_key"]) == (URL, "CODEXCTL_MODEL_TOKEN")
    assert found["projects"] == {FOLDER: {"trust_level": "untrusted"}}
    assert found["project_doc_max_bytes"] == 0
    assert found["skills"] == {"include_instructions": False}


def test_pieces_are_put_together_and_what_codexctl_needs_wins(project: Project) -> None:
    """Template, blocks and servers make one file; nobody leads the agent past the proxy."""
    project.write_file(
        "agent/config.toml.tpl",
        'model_provider = "openai"\nmodel_verbosity = "low"\n'
        '[model_providers.codexctl]\nbase_url = "https://evil"\nstream_max_retries = 2\n'
        "[features]\nslot_{{ Slot }} = true\n",
    )
    found = table(
        project,
        "  configTemplate: agent/config.toml.tpl\n"
        "  configBlocks:\n"
        "    - name: limits\n      toml: |\n        tool_output_token_limit = 5\n"
        "        [features]\n        web = false\n"
        "    - {file: more.toml}\n",
        **_written(project, "more.toml", 'notes = "in {{ Namespace }}"\n'),
    )
    assert found["model_provider"] == "codexctl"
    assert found["model_providers"]["codexctl"]["base_url"] == URL
    assert found["model_providers"]["codexctl"]["stream_max_retries"] == 2
    assert found["features"] == {"slot_3": True, "web": False}
    assert (found["notes"], found["tool_output_token_limit"]) == ("in shop-dev-3", 5)


def _written(project: Project, name: str, text: str) -> dict[str, Any]:
    project.write_file(name, text)
    return {}


@pytest.mark.parametrize(
    ("codex", "where"),
    [
        ("  configTemplate: c.toml\n", "c.toml:2: codex.configTemplate is no TOML:"),
        ("  configTemplate: ../c.toml\n", "services.yaml:3: codex.configTemplate: ../c.toml is"),
        ("  configTemplate: none.toml\n", "none.toml: does not exist"),
        (
            "  configBlocks:\n    - name: one\n      toml: |\n        a = 1\n        b = = 2\n",
            "services.yaml:7: codex.configBlocks[0] (one) is no TOML:",
        ),
        (
            "  configBlocks:\n    - {toml: 'a = 1', file: c.toml}\n",
            "codex.configBlocks[0] has both toml and file",
        ),
        (
            "  configBlocks:\n    - {toml: 'a.b = 1'}\n    - {name: x, toml: 'a.b = 2'}\n",
            "services.yaml:5: codex.configBlocks[1] (x) sets a.b, which another piece has set",
        ),
        (
            "  configBlocks:\n    - toml: |\n        a = 'not closed\n",
            "services.yaml:5: codex.configBlocks[0] is no TOML:",
        ),
    ],
)
def test_mistakes_are_told_with_file_and_line(project: Project, codex: str, where: str) -> None:
    """Nothing is started with a configuration that would be refused, or says two things."""
    project.write_file("c.toml", "a = 1\nb = {{ Slot }} 4\n")
    assert where in problem(project, codex)


SERVERS = """\
  mcp:
    servers:
      - name: files
        command: mcp-files
        args: [--root, /workspace]
        env: {LEVEL: {value: debug}, FILES_TOKEN: {envRef: FILES_TOKEN}}
        tool_timeout_sec: 60
        required: true
      - name: docs
        type: https
        endpoint: https://mcp.example.com/docs
        bearer_token_env_var: DOCS_KEY
        headers: {X-Team: {value: shop}, X-Key: {varRef: DOCS_HEADER}}
      - name: db
        type: cluster
        service: {name: mcp-db, port: 8080}
      - name: other
        type: cluster
        service: {name: hub, namespace: tools, scheme: https, path: sse}
        startup_timeout_sec: 5
"""


def test_servers_of_every_type(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs, addresses and Services become what the agent reads; secrets are not in the file."""
    monkeypatch.setenv("FILES_TOKEN", "secret-of-files")
    monkeypatch.setenv("DOCS_KEY", "secret-of-docs")
    found = made(project, SERVERS, vars="DOCS_HEADER=secret-header")
    assert tomllib.loads(found.text)["mcp_servers"] == {
        "files": {
            "command": "mcp-files",
            "args": ["--root", "/workspace"],
            "env": {"LEVEL": "debug"},
            "env_vars": ["FILES_TOKEN"],
            "tool_timeout_sec": 60,
            "required": True,
        },
        "docs": {
            "url": "https://mcp.example.com/docs",
            "bearer_token_env_var": "DOCS_KEY",
            "http_headers": {"X-Team": "shop"},
            "env_http_headers": {"X-Key": "CODEXCTL_MCP_DOCS_0"},
        },
        "db": {"url": "http://mcp-db.shop-dev-3.svc:8080/mcp"},
        "other": {"url": "https://hub.tools.svc/sse", "startup_timeout_sec": 5},
    }
    assert found.environment == {
        "FILES_TOKEN": "secret-of-files",
        "DOCS_KEY": "secret-of-docs",
        "CODEXCTL_MCP_DOCS_0": "secret-header",
    }
    assert "secret" not in found.text + repr(found)


def test_a_run_without_servers_has_none(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reviews reach no server unless that is allowed, also none that a block has brought."""
    monkeypatch.setenv("FILES_TOKEN", "x")
    block = "  configBlocks:\n    - toml: |\n        [mcp_servers.a]\n        command = 'x'\n"
    found = made(project, block + SERVERS, servers=False)
    assert ("mcp_servers" in found.text, found.environment) == (False, {})


@pytest.mark.parametrize(
    ("server", "what"),
    [
        ("{name: a b, command: x}", "servers[0].name: 'a b' is no name"),
        ("{name: a}", "servers[0].endpoint: is missing"),
        ("{name: a, endpoint: ftp://x}", "servers[0].endpoint: is 'ftp://x'"),
        ("{name: a, type: stdio}", "servers[0].command: is missing"),
        ("{name: a, type: cluster}", "servers[0].service: has no name"),
        ("{name: a, command: x, env: {B: {envRef: NOPE}}}", "env.B: needs variable NOPE"),
        ("{name: a, command: x, env: {B-C: {envRef: HOME}}}", "'B-C' is no name of a variable"),
        ("{name: a, command: x}, {name: a, command: y}", "servers[1].name: 'a' stands there twice"),
    ],
)
def test_a_server_that_cannot_work_is_told_of(
    project: Project, server: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each mistake has its line in services.yaml, before anything is started."""
    monkeypatch.setenv("HOME", "/home/me")
    told = problem(project, f"  mcp:\n    servers: [{server}]\n")
    assert told.startswith("services.yaml:4: codex.mcp.")
    assert what in told


def test_a_server_stands_once(project: Project) -> None:
    """The same server in a block and in the list is an error rather than a guess."""
    block = "  configBlocks:\n    - {toml: 'mcp_servers.a.command = \"x\"'}\n"
    told = problem(project, block + "  mcp: {servers: [{name: a, command: x}]}\n")
    assert "codex.mcp.servers sets mcp_servers.a.command" in told


def test_values_that_may_be_missing_are_left_out(project: Project) -> None:
    """An optional value that nobody gave is no problem, and no empty variable."""
    server = "{name: a, command: x, env: {B: {envRef: NOPE, optional: true}}}"
    found = made(project, f"  mcp: {{servers: [{server}]}}\n")
    assert (found.environment, "env" in tomllib.loads(found.text)["mcp_servers"]["a"]) == (
        {},
        False,
    )


def test_what_is_written_is_read_again() -> None:
    """Every kind of value and key survives."""
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    whole: dict[str, Any] = {
        "text": 'a "b" \\ \n\t\x00\x7f ü 😀',
        "numbers": [1, -2, 1.5, 1e300, float("inf")],
        "truth": True,
        "times": [moment, moment.date(), moment.time()],
        "empty": {},
        "list of tables": [{"a": 1, "b c": {"d": []}}, {}],
        "/workspace/a.b": {"x": {"y z": "deep"}, "w": 1},
    }
    assert tomllib.loads(write_table(whole)) == whole
