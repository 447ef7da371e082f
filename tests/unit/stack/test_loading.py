"""``services.yaml``, rendered for one environment: the order of work and its rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import CodexctlError, ConfigurationError

if TYPE_CHECKING:
    from tests.support.project import Project

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME}\n"


def _namespace(project: Project, patterns: str = "", **given: str) -> str:
    text = f"project: shop\nversions: {{a: '1'}}\nnamespace: {{patterns: {{{patterns}}}}}\n"
    return project.load(text, **given).context.namespace


NAMESPACES = {
    "built in": ("", {}, "shop-staging"),
    "built in for ai with a slot": ("", {"env": "ai", "slot": "3"}, "shop-dev-3"),
    "none for ai without a slot": ("", {"env": "ai"}, ""),
    "built in for ai-repair": ("", {"env": "ai-repair"}, "shop-ai-staging"),
    "built in for ai-repair with a slot": (
        "",
        {"env": "ai-repair", "slot": "3"},
        "shop-ai-staging",
    ),
    "built in for an unknown one": ("", {"env": "qa"}, "shop-qa"),
    "pattern": ('staging: "{{ Project }}-x"', {}, "shop-x"),
    "pattern in Go": ('staging: "{{ .Project }}-x"', {}, "shop-x"),
    "pattern of another environment": ("production: x", {}, "shop-staging"),
    "pattern without a template": ("staging: plain", {}, "plain"),
    "trimmed": ('staging: "  {{ Env }}  "', {}, "staging"),
    "blank pattern": ("staging: \"{{ ' ' }}\"", {}, "shop-staging"),
    "empty pattern": ("staging: ", {}, "shop-staging"),
    "pattern with versions": ('staging: "v{{ Versions.a }}"', {}, "v1"),
    "pattern with variables": ('staging: "{{ Vars.N }}"', {"vars": "N=n"}, "n"),
    "pattern with slot 0": ('ai: "a-{{ Slot }}"', {"env": "ai"}, "a-0"),
    "flag": ("staging: x", {"namespace": "mine"}, "mine"),
    "flag for ai": ("", {"env": "ai", "namespace": "mine"}, "mine"),
}


@pytest.mark.parametrize(("patterns", "given", "namespace"), NAMESPACES.values(), ids=NAMESPACES)
def test_the_namespace(
    project: Project, patterns: str, given: dict[str, str], namespace: str
) -> None:
    """The flag, then the pattern of the environment, then a built-in name."""
    assert _namespace(project, patterns, **given) == namespace


def test_patterns_are_not_inherited(project: Project) -> None:
    """`from` inherits three keys; patterns and domains are looked up by the exact name."""
    loaded = project.load(
        "project: shop\nnamespace: {patterns: {staging: x}}\nbaseDomain: {staging: a.example}\n"
        "environments:\n"
        "  staging: {imagePullPolicy: Always, slotBootstrapInfra: [db], kubeconfig: k,\n"
        "            localRegistry: {enabled: true, port: 5000}}\n"
        "  middle: {from: staging, slotBootstrapInfra: [own]}\n"
        "  qa: {from: middle}\n",
        env="qa",
    )

    found = loaded.stack.environment("qa")
    assert (found.image_pull_policy, found.slot_bootstrap_infra) == ("Always", ("own",))
    assert found.local_registry is not None
    assert found.local_registry.port == 5000
    assert (found.kubeconfig, loaded.context.namespace) == ("", "shop-qa")
    assert loaded.templates.render("({{ index(BaseDomain, Env) }})", "f").text == "()"


def test_project_is_what_the_raw_file_says(project: Project) -> None:
    """A header whose trim marks swallow the line of `project` is in real repositories."""
    loaded = project.load(
        '# {{- $a := envOr "A" "x" -}}\n\n# {{- $b := "y" -}}\nproject: shop\n'
        'registry: "{{ $a }}/{{ $b }}"\nservices: []\n'
    )

    assert (loaded.context.project, loaded.stack.project) == ("shop", "shop")
    assert loaded.stack.registry == "x/y"
    assert str(loaded.document.location(("registry",))) == "services.yaml:5"


def test_header_variables_end_with_the_file(project: Project) -> None:
    """Neither manifests nor a second rendering see them."""
    project.write(a_yaml=CONFIG.replace("NAME", "'{{ $a }}'"))
    stack = (
        '# {{- $a := "x" -}}\nproject: shop\nservices: [{name: a, manifests: [{path: a.yaml}]}]\n'
    )

    with pytest.raises(CodexctlError, match=r"a\.yaml:3: .*undefined variable '\$a'"):
        project.desired(stack)


def test_templates_without_quotes(project: Project) -> None:
    """They are odd YAML before they are rendered, and fine afterwards."""
    loaded = project.load(
        "project: shop\nversions: {go: {{ Env }}}\nmaxSlots: {{ 1 + 2 }}\nregistry: {{ Project }}\n"
    )

    assert (loaded.stack.max_slots, loaded.stack.registry) == (3, "shop")


@pytest.mark.parametrize(
    "text",
    [
        "1.10",
        "0644",
        "0o17",
        "yes",
        "no",
        "1e3",
        "12:30:45",
        "2024-01-02",
        "true",
        "1_000",
        "+1",
        ".5",
    ],
)
def test_texts_keep_their_spelling(project: Project, text: str) -> None:
    """A version 1.10 is no 1.1, in templates as well."""
    loaded = project.load(f"project: shop\nversions: {{a: {text}}}\n")

    assert loaded.stack.versions["a"] == text
    assert loaded.templates.render("{{ Versions.a }}", "f").text == text


LEFT_OUT = ["false", "False", " FALSE ", "0", "no", "No", "'no'", "{{ 'no' }}", "{{ Slot }}"]
KEPT = ["true", "yes", "off", "n", "f", "00", "0.0", "none", "''", "' '", "{{ '' }}", "~", "maybe"]


@pytest.mark.parametrize(
    ("when", "is_kept"), [(w, False) for w in LEFT_OUT] + [(w, True) for w in KEPT]
)
@pytest.mark.parametrize("kind", ["infrastructure", "services"])
def test_when_of_items(project: Project, kind: str, when: str, *, is_kept: bool) -> None:
    """`false`, `0` and `no` leave an item out; anything else, blank too, keeps it."""
    project.write(a_yaml=CONFIG.replace("NAME", "a"))
    quoted = f'"{when}"' if "{" in when else when

    found = project.desired(
        f"project: shop\n{kind}:\n- name: a\n  when: {quoted}\n  manifests: [{{path: a.yaml}}]\n"
    )

    assert bool(found.manifests) == is_kept


def test_files_of_an_item_that_is_left_out_are_not_read(project: Project) -> None:
    """They may even be missing."""
    assert (
        project.desired(
            "project: shop\nservices: [{name: a, when: no, manifests: [{path: none.yaml}]}]\n"
        ).manifests
        == ()
    )


SECOND = {
    "a template that arrives through versions": (
        "versions: {tag: '{{ Env }}-{{ Slot }}'}",
        "{{ Versions.tag }}",
        "staging-0",
    ),
    "braces written with braces": ("versions: {}", "{{ '{{ Env }}' }}", "staging"),
    "storage, which is known only then": (
        "storage: {data: {size: 7Gi}}",
        "{{ '{{ Storage.Data.Size }}' }}",
        "7Gi",
    ),
    "versions, which are rendered by then": (
        "versions: {a: '{{ Env }}'}",
        "{{ '{{ Versions.a }}' }}",
        "staging",
    ),
    "trimmed": ("versions: {}", "  {{ ' x ' }}  ", "x"),
    "no template at all": ("versions: {}", " plain ", "plain"),
    "a brace alone": ("versions: {}", "{x}", "{x}"),
}


@pytest.mark.parametrize(("stack", "tag", "result"), SECOND.values(), ids=SECOND)
def test_the_second_rendering(project: Project, stack: str, tag: str, result: str) -> None:
    """`tagTemplate` and `when` are part of the file, and rendered once more when they are used."""
    loaded = project.load(
        f"project: shop\n{stack}\nservices:\n- name: a\n"
        f'  image: {{repository: r, tagTemplate: "{tag}"}}\n'
    )

    assert loaded.image(loaded.stack.services[0], ("services", 0)) == f"r:{result}"


def test_the_second_rendering_in_go(project: Project) -> None:
    """The dialect of the file holds for its values too."""
    loaded = project.load(
        "project: shop\nversions: {tag: '{{ .Env }}'}\nservices:\n- name: a\n"
        '  when: "{{ "{{" }} eq .Slot 3 {{ "}}" }}"\n'
        '  image: {repository: r, tagTemplate: "{{ .Versions.tag }}"}\n'.replace(
            '"{{ "', "'{{ \""
        ).replace('" }}"\n  image', "\" }}'\n  image"),
        slot="3",
    )

    assert loaded.image(loaded.stack.services[0], ("services", 0)) == "r:staging"
    assert loaded.wants(loaded.stack.services[0], ("services", 0))


@pytest.mark.parametrize("value", ["{{ Env }}", "{% if x %}", "{{", "x{{ EnvMap.SECRET }}y"])
def test_values_from_outside_are_no_templates(
    project: Project, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch whose name is a template cannot print secrets; it is refused, not rendered."""
    monkeypatch.setenv("BRANCH", value)
    project.write(a_yaml=CONFIG.replace("NAME", '"{{ EnvMap.BRANCH }}"'))

    loaded = project.load('project: shop\nservices:\n- name: a\n  when: "{{ EnvMap.BRANCH }}"\n')

    with pytest.raises(ConfigurationError, match="give another value to BRANCH") as caught:
        loaded.wants(loaded.stack.services[0], ("services", 0))
    assert value not in str(caught.value)
    assert loaded.templates.render("{{ EnvMap.BRANCH }}", "f").text == value


def test_manifests_are_rendered_once(project: Project) -> None:
    """So are `path`, `repository` and overlays: braces that come out of them stay."""
    project.write_file("{{ x }}.yaml", CONFIG.replace("NAME", "\"{{ '{{ Env }}' }}\""))

    [manifest] = project.desired(
        "project: shop\nservices: [{name: a, manifests: [{path: \"{{ '{{ x }}' }}.yaml\"}]}]\n"
    ).manifests

    assert manifest.name.name == "{{ Env }}"


def test_documents_that_vanish(project: Project) -> None:
    """Empty documents, null and {} are nothing; the others come in the order written."""
    text = "---\n---\n# a\n---\n{}\n---\nnull\n---\n" + CONFIG.replace("NAME", "a")
    text += "{% if false %}\n---\nnonsense\n{% endif %}\n---\n" + CONFIG.replace("NAME", "b")
    project.write(a_yaml=text)

    found = project.desired("project: shop\nservices: [{name: a, manifests: [{path: a.yaml}]}]\n")

    assert [manifest.name.name for manifest in found.manifests] == ["a", "b"]


FILTERS = {
    "none": ({}, "base cache web api"),
    "only services": ({"only_services": "web"}, "base cache web"),
    "in any case, trimmed": ({"only_services": " WEB , Api "}, "base cache web api"),
    "skip services": ({"skip_services": "web,api"}, "base cache"),
    "skip beats only": ({"only_services": "web,api", "skip_services": "web"}, "base cache api"),
    "only infra": ({"only_infra": "cache"}, "cache web api"),
    "skip infra": ({"skip_infra": "Cache"}, "base web api"),
    "unknown name": ({"skip_services": "nothing"}, "base cache web api"),
    "only an unknown name": ({"only_services": "nothing"}, "base cache"),
    "infra filters leave services alone": ({"skip_infra": "web"}, "base cache web api"),
    "both kinds": ({"only_services": "api", "skip_infra": "base"}, "cache api"),
}


@pytest.mark.parametrize(("given", "kept"), FILTERS.values(), ids=FILTERS)
def test_filters(project: Project, given: dict[str, str], kept: str) -> None:
    """Names are compared trimmed and in lower case; skipping beats choosing."""
    names = ("base", "cache", "web", "api")
    for name in names:
        project.write_file(f"{name}.yaml", CONFIG.replace("NAME", name))
    items = [
        f"- {{name: {shown}, manifests: [{{path: {name}.yaml}}]}}\n"
        for shown, name in zip(("Base", "cache", "Web", "' api '"), names, strict=True)
    ]

    found = project.desired(
        f"project: shop\ninfrastructure:\n{items[0]}{items[1]}services:\n{items[2]}{items[3]}",
        **given,
    )

    assert " ".join(manifest.name.name for manifest in found.manifests) == kept


TRIMMED = {
    "go: newlines and blanks before": ("a \t\r\n\n {{- .Env }}", "astaging"),
    "go: newlines and blanks behind": ("{{ .Env -}} \t\r\n\n a", "staginga"),
    "go: nothing else trims": ("a\n{{ if .Env }}\nb\n{{ end }}\nc\n\n", "a\n\nb\n\nc\n\n"),
    "go: minus three": ("# codexctl: dialect=go\na {{-3}}", "# codexctl: dialect=go\na -3"),
    "go: comment": ("a {{- /* x */ -}} b", "ab"),
    "go: no-break space stays": ("a\xa0{{- .Env }}", "a\xa0staging"),
    "go: line ends of Windows stay": ("a\r\n{{ .Env }}\r\n", "a\r\nstaging\r\n"),
    "jinja: before": ("a \n\n {{- Env }}", "astaging"),
    "jinja: behind": ("{{ Env -}} \n\n a", "staginga"),
    "jinja: blocks leave their line breaks": ("a\n{% if Env %}\nb\n{% endif %}\nc", "a\n\nb\n\nc"),
    "jinja: the last newline stays": ("{{ Env }}\n\n", "staging\n\n"),
    "jinja: line ends become those of Unix": ("a\r\n{{ Env }}\r\n", "a\nstaging\n"),
}


@pytest.mark.parametrize(("template", "text"), TRIMMED.values(), ids=TRIMMED)
def test_trimming(project: Project, template: str, text: str) -> None:
    """A dash eats blanks and line breaks on its side; nothing else is ever eaten."""
    assert project.text(template) == text
