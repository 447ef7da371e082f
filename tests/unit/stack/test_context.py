"""The names that templates refer to, in both dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import CodexctlError, ConfigurationError

if TYPE_CHECKING:
    from tests.support.project import Project

STACK = """\
versions: {go: 1.10, empty: }
baseDomain: {staging: stage.example}
storage:
  workspace: {size: 20Gi, storageClass: fast, accessModes: [ReadWriteOnce, ReadOnlyMany]}
codex:
  promptLang: en
  modelReasoningEffort: high
  reviewMCPEnabled: true
  projectContext: "a shop"
  extraTools: [psql, jq]
  timeouts: {exec: 1h, rollout: 20m, deployWait: 10m}
  links: [{title: Shop, path: /}]
  configBlocks: [{name: x, toml: "a = 1"}]
  mcp:
    servers:
    - name: db
      type: cluster
      tool_timeout_sec: 30
      service: {name: mcp, port: 80}
      env: {TOKEN: {envRef: DB_TOKEN}}
      tools: [{name: query, description: ask}]
"""
NAMES = {
    "Env": ("{{ .Env }}", "{{ Env }}", "staging"),
    "Namespace": ("{{ .Namespace }}", "{{ Namespace }}", "shop-staging"),
    "Project": ("{{ .Project }}", "{{ Project }}", "shop"),
    "Slot": ("{{ .Slot }}", "{{ Slot }}", "3"),
    "Slot is a number": ("{{ eq .Slot 3 }}", "{{ (Slot == 3)|string|lower }}", "true"),
    "Now": ('{{ .Now.Format "MST" }}', "{{ Now.Format('MST') }}", "UTC"),
    "Vars": ("{{ .Vars.A }}", "{{ Vars.A }}", "1"),
    "UserVars": ("{{ .UserVars.A }}", "{{ UserVars.A }}", "1"),
    "EnvMap": ("{{ .EnvMap.EXPORTED }}", "{{ EnvMap.EXPORTED }}", "x"),
    "EnvMap has the variables too": ("{{ .EnvMap.A }}", "{{ EnvMap['A'] }}", "1"),
    "Versions": ("{{ .Versions.go }}", "{{ Versions.go }}", "1.10"),
    "empty version": ("({{ .Versions.empty }})", "({{ Versions.empty }})", "()"),
    "BaseDomain": ("{{ .BaseDomain.staging }}", "{{ BaseDomain.staging }}", "stage.example"),
    "Size": ("{{ .Storage.Workspace.Size }}", "{{ Storage.Workspace.Size }}", "20Gi"),
    "StorageClass": (
        "{{ .Storage.Workspace.StorageClass }}",
        "{{ Storage.Workspace.StorageClass }}",
        "fast",
    ),
    "AccessModes": (
        '{{ join .Storage.Workspace.AccessModes "," }}',
        "{{ Storage.Workspace.AccessModes | join(',') }}",
        "ReadWriteOnce,ReadOnlyMany",
    ),
    "absent volume": (
        "{{ if .Storage.Data }}yes{{ else }}no{{ end }}",
        "{{ 'yes' if Storage.Data else 'no' }}",
        "no",
    ),
    "PromptLang": ("{{ .Codex.PromptLang }}", "{{ Codex.PromptLang }}", "en"),
    "ModelReasoningEffort": (
        "{{ .Codex.ModelReasoningEffort }}",
        "{{ Codex.ModelReasoningEffort }}",
        "high",
    ),
    "ReviewMCPEnabled": (
        "{{ if .Codex.ReviewMCPEnabled }}yes{{ end }}",
        "{{ 'yes' if Codex.ReviewMCPEnabled }}",
        "yes",
    ),
    "ProjectContext": ("{{ .Codex.ProjectContext }}", "{{ Codex.ProjectContext }}", "a shop"),
    "ExtraTools": ("{{ index .Codex.ExtraTools 1 }}", "{{ Codex.ExtraTools[1] }}", "jq"),
    "Timeouts": ("{{ .Codex.Timeouts.DeployWait }}", "{{ Codex.Timeouts.DeployWait }}", "10m"),
    "Links": (
        "{{ range .Codex.Links }}{{ .Title }}{{ .Path }}{{ end }}",
        "{% for link in Codex.Links %}{{ link.Title }}{{ link.Path }}{% endfor %}",
        "Shop/",
    ),
    "ConfigBlocks": (
        "{{ (index .Codex.ConfigBlocks 0).TOML }}",
        "{{ Codex.ConfigBlocks[0].TOML }}",
        "a = 1",
    ),
    "MCP.Servers": (
        "{{ range .Codex.MCP.Servers }}{{ .Name }}:{{ .Type }}{{ end }}",
        "{% for s in Codex.MCP.Servers %}{{ s.Name }}:{{ s.Type }}{% endfor %}",
        "db:cluster",
    ),
    "ToolTimeoutSec": (
        "{{ (index .Codex.MCP.Servers 0).ToolTimeoutSec }}",
        "{{ Codex.MCP.Servers[0].ToolTimeoutSec }}",
        "30",
    ),
    "Service": (
        "{{ (index .Codex.MCP.Servers 0).Service.Port }}",
        "{{ Codex.MCP.Servers[0].Service.Port }}",
        "80",
    ),
    "EnvRef": (
        '{{ (index (index .Codex.MCP.Servers 0).Env "TOKEN").EnvRef }}',
        "{{ Codex.MCP.Servers[0].Env.TOKEN.EnvRef }}",
        "DB_TOKEN",
    ),
    "IssueComments": ("{{ len .IssueComments }}", "{{ IssueComments|length }}", "0"),
    "ReviewComments": ("{{ len .ReviewComments }}", "{{ ReviewComments|length }}", "0"),
}


@pytest.mark.parametrize(("go", "jinja", "text"), NAMES.values(), ids=NAMES)
def test_names_of_templates(
    project: Project, go: str, jinja: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both dialects know the same names, and mean the same by them."""
    monkeypatch.setenv("EXPORTED", "x")

    for template in (go, jinja):
        assert project.text(template, stack=STACK, slot="3", vars="A=1") == text


def test_the_root_is_the_folder_of_services_yaml(project: Project) -> None:
    """Scripts and mounts can name files of the repository absolutely."""
    assert project.text("{{ ProjectRoot }}") == str(project.folder.resolve())


def test_names_are_as_they_are_written(project: Project) -> None:
    """A name in small letters is another one, in both dialects."""
    for template in ("{{ env }}", "{{ .env }}"):
        with pytest.raises(ConfigurationError, match="did you mean 'Env'"):
            project.text(template)


def test_storage_is_absent_while_services_yaml_itself_is_rendered(project: Project) -> None:
    """It is known only afterwards; versions are known by their source text."""
    loaded = project.load(
        "project: shop\nversions: {go: '{{ Env }}-1', copy: '{{ Versions.go }}'}\n"
        "storage: {data: {size: 1Gi}}\n"
        "registry: \"{{ 'absent' if Storage is none else 'there' }}/{{ Codex.PromptLang }}\"\n"
        "codex: {promptLang: en}\n"
    )

    assert loaded.stack.registry == "absent/"
    assert loaded.stack.versions == {"go": "staging-1", "copy": "{{ Env }}-1"}
    assert loaded.templates.render("{{ Storage.Data.Size }}", "f").text == "1Gi"


ABSENT = {
    "index": ('{{ index .Versions "x" }}', "{{ index(Versions, 'x') }}", ""),
    "in a test": (
        "{{ if .Versions.x }}a{{ else }}b{{ end }}",
        "{% if 'x' in Versions %}a{% else %}b{% endif %}",
        "b",
    ),
    "or": ('{{ or .Versions.x "b" }}', "{{ Versions.x | default('b') }}", "b"),
    "absent storage in a test": (
        "{{ if .Storage }}a{{ else }}b{{ end }}",
        "{{ 'a' if Storage else 'b' }}",
        "b",
    ),
    "early end": (
        "{{ if and .Storage .Storage.Data }}a{{ else }}b{{ end }}",
        "{{ 'a' if Storage and Storage.Data else 'b' }}",
        "b",
    ),
}


@pytest.mark.parametrize(("go", "jinja", "text"), ABSENT.values(), ids=ABSENT)
def test_what_is_absent(project: Project, go: str, jinja: str, text: str) -> None:
    """A test finds out, and `index` gives the empty text."""
    for template in (go, jinja):
        assert project.text(template) == text


@pytest.mark.parametrize(
    "template",
    [
        *("{{ .Versions.x }}", "{{ slug .Versions.x }}", "{{ .Storage.Data }}", "{{ .Nothing }}"),
        *("{{ Versions.x }}", "{{ slug(Versions.x) }}", "{{ Storage.Data }}", "{{ Nothing }}"),
    ],
)
def test_what_is_absent_is_not_printed(project: Project, template: str) -> None:
    """Nobody wants `<no value>` in a manifest."""
    with pytest.raises(CodexctlError, match=r"^f\.yaml:1: "):
        project.text(template)


def test_what_templates_looked_up_is_noted(project: Project) -> None:
    """Of the process environment only what matters is shown later."""
    loaded = project.load("project: shop\nregistry: \"{{ envOr('A', '') }}{{ envOr('B', '') }}\"\n")

    assert {"A", "B"} <= loaded.context.asked
    assert "PATH" not in loaded.context.asked
