"""Looking at an environment: manifests, values, configuration, single templates, the schema."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from codexctl_tasks.console import Console
from codexctl_tasks.errors import ConfigurationError, UsageError
from codexctl_tasks.flows import render
from codexctl_tasks.settings import render_request, template_request

if TYPE_CHECKING:
    from tests.support.project import Project

STACK = """\
# {{- $tag := envOr "TAG" "latest" -}}
project: shop
envFiles: [a.env]
namespace: {patterns: {staging: "{{ .Project }}-stage"}}
versions: {web: "{{ $tag }}"}
environments:
  base: {imagePullPolicy: Always}
  staging: {from: base}
infrastructure:
- name: base
  manifests: [{path: base.yaml}]
services:
- name: web
  manifests: [{path: k8s/web.yaml}]
"""
BASE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop-stage}\n"
WEB = """\
# the settings
apiVersion: v1
kind: ConfigMap
metadata:
  name: web
data:
  tag: "{{ .Versions.web }}"
  flag: "yes"
  octal: "0o17"
---
apiVersion: v1
kind: Secret
metadata: {name: web}
stringData:
  password: {{ envOr "DB_PASSWORD" "" }}
"""


@pytest.fixture
def shop(project: Project) -> Project:
    project.write(
        services_yaml=STACK, base_yaml=BASE, a_env="DB_PASSWORD=hunter2-of-file\nPLAIN=1\n"
    )
    project.write_file("k8s/web.yaml", WEB)
    return project


def _render(**given: Any) -> str:
    """Run the task; return what goes to stderr."""
    stderr = io.StringIO()
    request = render_request(**{"env": "staging", **given})
    assert render.render(request, Console(stderr)) == 0
    return stderr.getvalue()


@pytest.mark.usefixtures("shop")
def test_manifests_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Ready for kubectl, each document with the file and line it came from; nothing else."""
    stderr = _render(vars="TAG=1.0")

    stdout = capsys.readouterr().out
    assert stdout.startswith("---\n# Source: base.yaml:1\napiVersion: v1\nkind: Namespace\n")
    sources = [line for line in stdout.splitlines() if line.startswith("#")]
    assert sources == [
        "# Source: base.yaml:1",
        "# Source: k8s/web.yaml:2",
        "# Source: k8s/web.yaml:11",
    ]
    namespace, config, secret = yaml.safe_load_all(stdout)
    assert namespace["metadata"] == {"name": "shop-stage"}
    assert config["metadata"] == {"name": "web", "namespace": "shop-stage"}
    assert config["data"] == {"tag": "1.0", "flag": "yes", "octal": "0o17"}
    assert secret["stringData"] == {"password": "hunter2-of-file"}
    assert stderr == ""


def test_nothing_to_print(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """A stack without manifests prints nothing and succeeds, with a warning."""
    shop.write(services_yaml="project: shop\n")

    assert "staging has no manifests" in _render()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("shop")
def test_what_keeps_it_from_being_applied_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    """An environment that is not in services.yaml can be looked at."""
    assert "warning: services.yaml:6: environment 'stagin' is not defined" in _render(env="stagin")
    assert "namespace: shop-stagin\n" in capsys.readouterr().out


@pytest.mark.usefixtures("shop")
def test_filters_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """What is left out is not printed."""
    _render(skip_infra="base", only_services="nothing")

    assert capsys.readouterr().out == ""


def test_one_file_for_each_file(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """--output-dir writes the folders of the project anew, with what is rendered."""
    stderr = _render(output_dir="out")

    out = shop.folder / "out"
    written = sorted(str(file.relative_to(out)) for file in out.rglob("*") if file.is_file())
    assert written == ["base.yaml", "k8s/web.yaml"]
    assert (out / "base.yaml").read_text().startswith("---\n# Source: base.yaml:1\n")
    assert len(list(yaml.safe_load_all((out / "k8s" / "web.yaml").read_text()))) == 2
    assert stderr.splitlines() == [
        "write    out/base.yaml",
        "write    out/k8s/web.yaml",
    ]
    assert capsys.readouterr().out == ""


def test_a_file_that_several_items_share(shop: Project) -> None:
    """Its objects are in one file, none of them lost."""
    shop.write(
        services_yaml="project: shop\nservices:\n"
        "- {name: a, manifests: [{path: base.yaml}]}\n- {name: b, manifests: [{path: base.yaml}]}\n"
    )

    _render(output_dir="out")

    text = (shop.folder / "out" / "base.yaml").read_text()
    assert len(list(yaml.safe_load_all(text))) == 2


def test_a_folder_that_cannot_be_written(shop: Project) -> None:
    """The file in the way is named."""
    shop.write_file("out", "a file")

    with pytest.raises(ConfigurationError) as caught:
        _render(output_dir="out")
    assert str(caught.value).startswith("out/base.yaml: cannot be written: ")
    assert str(caught.value).endswith(": give another --output-dir")


def test_plain_yaml_is_printed_as_it_would_be_applied(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """--manifests works without services.yaml, and writes into its own folders."""
    (shop.folder / "services.yaml").unlink()

    request = render_request(manifests=["base.yaml"], namespace="n", output_dir="out")
    assert render.render(request, Console(io.StringIO())) == 0

    assert (shop.folder / "out" / "base.yaml").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("shop")
def test_values_and_their_origins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """--show-values says what templates see and who said so; secrets are masked."""
    monkeypatch.setenv("TAG", "exported")
    monkeypatch.setenv("NOT_ASKED_FOR", "x")
    monkeypatch.setenv("API_TOKEN", "token-of-process")

    _render(show_values=True, vars="A=with token-of-process inside")

    lines = capsys.readouterr().out.splitlines()
    for line in (
        'Env: "staging"  # --env',
        'Namespace: "shop-stage"  # services.yaml:4',
        "Slot: 0  # default",
        'Versions.web: "exported"  # services.yaml:5',
        'Vars.A: "with *** inside"  # --vars',
        "EnvMap.DB_PASSWORD: ***  # a.env:1",
        'EnvMap.PLAIN: "1"  # a.env:2',
        'EnvMap.TAG: "exported"  # process environment',
    ):
        assert line in lines
    assert "NOT_ASKED_FOR" not in "".join(lines)
    assert "hunter2" not in "".join(lines)


def _config(**given: Any) -> None:
    source = render_request(**{"env": "staging", **given}).source
    assert render.config(source, Console(io.StringIO())) == 0


def test_the_effective_configuration(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """What holds for the environment, with what it inherits; secrets are masked."""
    shop.write(services_yaml=STACK + "registry: 'u:{{ .EnvMap.DB_PASSWORD }}@host'\n")

    _config(vars="TAG=2")

    stdout = capsys.readouterr().out
    assert stdout.startswith("---\n# services.yaml, environment staging\n")
    found = yaml.safe_load(stdout)
    assert found["environments"] == {"staging": {"imagePullPolicy": "Always"}}
    assert found["namespace"] == {"patterns": {"staging": "shop-stage"}}
    assert found["versions"] == {"web": "2"}
    assert found["registry"] == "u:***@host"


@pytest.mark.usefixtures("shop")
def test_plain_yaml_has_neither_values_nor_configuration() -> None:
    """What makes no sense is wrong usage."""
    request = render_request(manifests=["base.yaml"], namespace="n", show_values=True)

    with pytest.raises(UsageError, match="--manifests: is plain YAML without configuration"):
        render.render(request, Console(io.StringIO()))
    with pytest.raises(UsageError, match="--manifests: is plain YAML without configuration"):
        render.config(request.source, Console(io.StringIO()))


TEMPLATES = {
    "go": ("{{ .Name }}: {{ range .Items }}{{ . }},{{ end }}\n", "", "x: 1,2,\n"),
    "jinja": ("{{ Name }}: {% for i in Items %}{{ i }},{% endfor %}\n", "", "x: 1,2,\n"),
    "go by flag": ("{{ now }}{{/* x */}}{{ .Name }}", "go", None),
    "jinja by flag": ("{{ 'a' ~ Name }}", "jinja", "ax"),
    "no template": ("a: b\r\n", "", "a: b\r\n"),
    "functions": ('{{ envOr "A" "b" }} {{ slug .Name }}', "", "1 x"),
    "functions of jinja": ("{{ envOr('A') }} {{ Name | slug }}", "", "1 x"),
    "string maps": ('({{ index .EnvMap "none" }})', "", "()"),
    "go prints what is missing": ("{{ .Nothing }}", "", "<no value>"),
}


@pytest.mark.parametrize(("text", "dialect", "expected"), TEMPLATES.values(), ids=TEMPLATES)
def test_one_template_alone(
    project: Project,
    capsys: pytest.CaptureFixture[str],
    text: str,
    dialect: str,
    expected: str | None,
) -> None:
    """Names come from a JSON file; the language is recognised unless it is given."""
    project.write_file("a.tmpl", text)
    project.write_file("data.json", '{"Name": "x", "Items": [1, 2], "EnvMap": {"A": "1"}}')

    assert render.render_template(template_request("a.tmpl", "data.json", dialect)) == 0

    found = capsys.readouterr().out
    assert found == expected if expected is not None else found.endswith("x")


def test_a_template_without_data(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    """No names at all, but functions."""
    project.write_file("a.tmpl", "{{ slug('A b') }}")

    assert render.render_template(template_request("a.tmpl", "", "")) == 0

    assert capsys.readouterr().out == "a-b"


@pytest.mark.parametrize(
    ("template", "data", "message"),
    [
        ("a\n{{ Nme }}", '{"Name": 1}', "a.tmpl:2: 'Nme' is undefined: did you mean 'Name'?"),
        ("{{ x }}", "{\n  a: 1}", "data.json:2: is not JSON: Expecting property name"),
        ("{{ x }}", "[" * 100_000, "data.json: is nested too deeply: make it flatter"),
        ("{{ if }}", "{}", "a.tmpl:1: template syntax: "),
    ],
    ids=["name", "JSON", "deep", "syntax"],
)
def test_mistakes_in_a_template_alone(
    project: Project, template: str, data: str, message: str
) -> None:
    """Template and data are named with their line."""
    project.write_file("a.tmpl", template)
    project.write_file("data.json", data)

    with pytest.raises(ConfigurationError) as caught:
        render.render_template(template_request("a.tmpl", "data.json", ""))
    assert str(caught.value).startswith(message)


def test_files_of_a_template_alone_that_are_missing(project: Project) -> None:
    """The missing one is named."""
    project.write_file("a.tmpl", "{{ x }}")

    for template, data in (("none.tmpl", ""), ("a.tmpl", "none.json")):
        with pytest.raises(ConfigurationError, match=r"^none\.(tmpl|json): does not exist"):
            render.render_template(template_request(template, data, ""))


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Editors can read it."""
    assert render.schema() == 0

    found = json.loads(capsys.readouterr().out)
    assert found["required"] == ["project"]
    assert "services" in found["properties"]
