"""From files to desired objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from codexctl_tasks.errors import CodexctlError
from codexctl_tasks.settings import deploy_request
from codexctl_tasks.stack.desired import load_desired
from tests.support.objects import yaml_of

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.requests.basis import Source
    from tests.support.project import Project

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"
STACK = """\
project: shop
namespace:
  patterns:
    staging: "{{ Project }}-stage"
environments:
  staging: {}
  production: {}
infrastructure:
- name: Base
  manifests:
  - path: base.yaml
services:
- name: web
  manifests:
  - path: web.yaml
- name: api
  when: "{{ envOr('API', 'yes') }}"
  manifests:
  - path: k8s/api.yaml
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    _write(
        tmp_path,
        {
            "services.yaml": STACK,
            "base.yaml": CONFIG.format(name="base"),
            "web.yaml": CONFIG.format(name="web-{{ Env }}"),
            "k8s/api.yaml": CONFIG.format(name="api"),
        },
    )
    return tmp_path


def _write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)


def _source(**given: Any) -> Source:
    if "manifests" not in given:
        given = {"env": "staging", **given}
    return deploy_request(**given).source


def _names(**given: Any) -> list[str]:
    return [str(m.name) for m in load_desired(_source(**given)).manifests]


def _refused(**given: Any) -> list[str]:
    with pytest.raises(CodexctlError) as caught:
        load_desired(_source(**given))
    assert caught.value.exit_code == 3
    return str(caught.value).splitlines()


@pytest.mark.usefixtures("folder")
def test_infrastructure_first_then_services_in_the_order_written() -> None:
    """What is applied stands in services.yaml; services get the environment's namespace."""
    desired = load_desired(_source())

    assert [str(m.name) for m in desired.manifests] == [
        "ConfigMap base",
        "ConfigMap shop-stage/web-staging",
        "ConfigMap shop-stage/api",
    ]
    assert (desired.origin, desired.namespace, desired.warnings) == (
        "services.yaml",
        "shop-stage",
        (),
    )
    assert str(desired.manifests[2].location) == "k8s/api.yaml:1"


@pytest.mark.parametrize(
    ("given", "namespace"),
    [
        ({}, "shop-stage"),
        ({"env": "production"}, "shop-production"),
        ({"namespace": "mine"}, "mine"),
    ],
    ids=["pattern", "built-in name", "flag"],
)
@pytest.mark.usefixtures("folder")
def test_the_namespace(given: dict[str, Any], namespace: str) -> None:
    """The flag wins over the pattern, the pattern over project-env."""
    assert load_desired(deploy_request(**{"env": "staging", **given}).source).namespace == namespace


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"only_services": "WEB"}, ["base", "web-staging"]),
        ({"skip_services": "web"}, ["base", "api"]),
        ({"only_services": "web", "skip_services": "web"}, ["base"]),
        ({"skip_infra": "base"}, ["web-staging", "api"]),
        ({"only_infra": "other"}, ["web-staging", "api"]),
        ({"only_services": "unknown"}, ["base"]),
        ({"vars": "API=no"}, ["base", "web-staging"]),
    ],
    ids=["only", "skip", "skip beats only", "skip infra", "only infra", "unknown name", "when"],
)
@pytest.mark.usefixtures("folder")
def test_filters(given: dict[str, str], kept: list[str]) -> None:
    """Filters of services do not touch infrastructure, and the other way round."""
    assert [name.split()[1].rpartition("/")[2] for name in _names(**given)] == kept


def test_files_of_left_out_items_are_not_read(folder: Path) -> None:
    """A broken service that takes no part stops nobody."""
    (folder / "web.yaml").write_text("{{ broken")

    assert len(_names(skip_services="web")) == 2


def test_variables_beat_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--vars wins over exported variables; templates see both."""
    (folder / "web.yaml").write_text(CONFIG.format(name="{{ envOr('N', 'none') }}-{{ Slot }}"))

    assert "ConfigMap shop-stage/none-0" in _names()
    monkeypatch.setenv("N", "exported")
    assert "ConfigMap shop-stage/exported-0" in _names()
    assert "ConfigMap shop-stage/given-3" in _names(vars="N=given", slot="3")


def test_all_problems_of_all_files_are_reported_at_once(folder: Path) -> None:
    """One run tells every mistake, each with its own file and line."""
    _write(
        folder,
        {
            "base.yaml": "a: 1\nb: {{ Nmespace }}\n",
            "web.yaml": f"{CONFIG.format(name='a')}---\nkind: B\n---\n- 1\n",
        },
    )
    (folder / "k8s" / "api.yaml").unlink()

    assert [line.split(": ")[0] for line in _refused()] == [
        "base.yaml:2",
        "web.yaml:6",
        "web.yaml:8",
        "services.yaml:19",
    ]


def test_lines_are_exact_behind_blocks(folder: Path) -> None:
    """A mistake below a loop is found where it is written, in manifests and in services.yaml."""
    loop = "{% for n in [1, 2, 3] %}\n# {{ n }}\n{% endfor %}\n"
    _write(
        folder,
        {
            "services.yaml": loop + STACK + 'x: "{{ \'\\"\' }} b"\n',
            "base.yaml": f"{loop}kind: {{{{ Env }}}}\n",
        },
    )
    assert _refused()[0].startswith("services.yaml:23: is not valid YAML")

    _write(folder, {"services.yaml": loop + STACK})
    assert _refused()[0].startswith("base.yaml:4: apiVersion is missing")


@pytest.mark.parametrize(
    ("content", "start"),
    [
        ("", "services.yaml: is empty"),
        ("- a\n", "services.yaml:1: is not a mapping"),
        ("project: a\n---\nproject: b\n", "services.yaml:3: begins a second document"),
        (b"project: \xe4\n", "services.yaml:1: is not UTF-8 text"),
        ("project: a\nservices:\n\t- x\n", "services.yaml:3: is not valid YAML"),
        ("project: '{{ Nspace }}x'\n", "services.yaml:1: project: 'Nspace' is undefined"),
        ("services: []\n", "services.yaml:1: project is missing"),
        ("project: a\nx: {{ Slt }}\n", "services.yaml:2: 'Slt' is undefined: did you mean 'Slot'?"),
    ],
    ids=["empty", "list", "two", "latin-1", "tab", "project", "no project", "undefined"],
)
def test_an_unusable_services_yaml(folder: Path, content: str | bytes, start: str) -> None:
    """Whatever is wrong with the file is said in one line."""
    _write(folder, {"services.yaml": content})

    [line] = _refused()
    assert line.startswith(start)


@pytest.mark.parametrize(
    "content",
    ["\ufeff" + STACK, STACK.replace("\n", "\r\n"), "---\n" + STACK + "...\n"],
    ids=["BOM", "CRLF", "document marks"],
)
def test_files_written_on_windows_load(folder: Path, content: str) -> None:
    """An editor's line ends or byte order mark change nothing."""
    expected = _names()
    _write(folder, {"services.yaml": content, "base.yaml": "\ufeff" + CONFIG.format(name="base")})

    assert _names() == expected


@pytest.mark.usefixtures("folder")
def test_an_unknown_environment_names_the_nearest() -> None:
    """A misspelt --env can be rendered, with a warning; it keeps anything from being applied."""
    [line] = _obstacles("stagin")
    assert line == (
        "services.yaml:5: environment 'stagin' is not defined: "
        "did you mean 'staging'? known are production, staging"
    )
    [line] = _obstacles("qa")
    assert line.endswith(": known are production, staging")


def _obstacles(env: str) -> list[str]:
    return [str(obstacle) for obstacle in load_desired(deploy_request(env=env).source).obstacles]


def test_unknown_keys_are_warnings_with_line_and_hint(folder: Path) -> None:
    """A file for another version loads; a typing mistake is still seen."""
    (folder / "services.yaml").write_text(STACK + "servces: []\n")

    assert load_desired(_source()).warnings == (
        "services.yaml:20: servces is not a known key: did you mean 'services'?",
    )


def test_services_yaml_of_another_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths are relative to services.yaml, not to the current folder."""
    expected = _names()
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")

    assert _names(config="../services.yaml") == expected


def test_plain_yaml_is_taken_as_it_is(folder: Path) -> None:
    """Files and folders, JSON too; braces are not templates; files in a stable order."""
    _write(
        folder,
        {
            "plain/b.yml": CONFIG.format(name='"{{ x }}"'),
            "plain/a/c.json": '{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c"}}',
            "plain/notes.txt": "not YAML: [",
            "plain/odd.yaml/inner.yaml": CONFIG.format(name="inner"),
        },
    )

    desired = load_desired(_source(manifests=["plain", "web.yaml"], namespace="n"))

    assert [m.name.name for m in desired.manifests] == ["c", "{{ x }}", "inner", "web-{{ Env }}"]
    assert {m.name.namespace for m in desired.manifests} == {"n"}
    assert desired.origin == "plain, web.yaml"


def test_all_broken_plain_files_are_reported(folder: Path) -> None:
    """Plain YAML gets the same treatment: every file's problems in one run."""
    _write(folder, {"a.yaml": "a: [\n", "b.yaml": "- 1\n", "c.yaml": b"\xff\xfe\xe4"})

    lines = _refused(manifests=["a.yaml", "b.yaml", "c.yaml", "d.yaml"], namespace="n")

    assert [line.split(": ")[0].split(":")[0] for line in lines] == [
        "a.yaml",
        "b.yaml",
        "c.yaml",
        "d.yaml",
    ]


@pytest.mark.usefixtures("folder")
def test_nothing_to_apply_is_a_mistake() -> None:
    """A wrong folder is not a successful deploy of nothing."""
    assert _refused(manifests=["/proc/self/fd"], namespace="n")[0].endswith(
        "holds no manifests: give files or folders with YAML"
    )


@pytest.mark.usefixtures("folder")
def test_a_misspelt_filter_is_a_warning() -> None:
    """`--skip-services wbe` deploys the web: that is said, with the nearest name."""
    desired = load_desired(_source(skip_services="wbe", only_infra="nothing"))

    assert desired.warnings == (
        "--skip-services: services.yaml has no item 'wbe': did you mean 'web'?",
        "--only-infra: services.yaml has no item 'nothing': known are base",
    )


@pytest.mark.usefixtures("folder")
def test_a_deploy_of_nothing_is_a_warning() -> None:
    """When filters leave nothing, a green run says so."""
    desired = load_desired(_source(only_services="x", only_infra="y"))

    assert desired.manifests == ()
    assert desired.warnings[-1] == "services.yaml: staging has no manifests: nothing to do"


def test_pins_of_a_stack(project: Project) -> None:
    """With --pins the image of each container is exactly what was pushed."""
    digest = "sha256:" + "c" * 64
    pins = f'{{"version": 1, "images": {{"localhost:5000/web:1": "{digest}"}}}}'
    deployment = yaml_of(
        "Deployment",
        "web",
        "spec: {template: {spec: {containers: [{name: web, image: 'localhost:5000/web:1'}]}}}",
    )
    project.write_file("pins.json", pins)
    project.write_file("web.yaml", deployment)
    stack = "project: shop\nservices: [{name: web, manifests: [{path: web.yaml}]}]\n"

    [manifest] = project.desired(stack, pins="pins.json").manifests

    [container] = manifest.body["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"localhost:5000/web@{digest}"


def test_pins_that_are_of_no_use(project: Project) -> None:
    """A file for other images is more likely a mistake than a wish."""
    project.write_file("pins.json", '{"version": 1, "images": {}}')
    project.write_file("a.yaml", yaml_of("ConfigMap", "a"))
    stack = "project: shop\nservices: [{name: web, manifests: [{path: a.yaml}]}]\n"

    warnings = project.desired(stack, pins="pins.json").warnings

    assert warnings == ("pins.json: no image of services.yaml is pinned in it",)
