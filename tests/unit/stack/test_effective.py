"""The configuration of one environment, after rendering and inheritance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codexctl_tasks.stack.effective import effective

if TYPE_CHECKING:
    from tests.support.project import Project

STACK = """\
project: shop
namespace: {patterns: {staging: "{{ Project }}-x", production: prod}}
maxSlots: 3
registry: "registry.{{ Env }}"
baseDomain: {staging: stage.example, production: shop.example}
versions: {go: 1.10}
environments:
  base: {imagePullPolicy: Always, slotBootstrapInfra: [db], kubeconfig: base}
  staging: {from: base, context: here}
  production: {}
images:
  api: {type: build, repository: r, tagTemplate: "{{ Versions.go }}"}
infrastructure:
- name: base
  when: "{{ Env == 'production' }}"
services:
- name: web
  image: {repository: r, tagTemplate: "{{ '{{ Versions.go }}' }}"}
  ingress: {hosts: {staging: a, production: b}}
  overlays:
    staging: {dropKinds: [Ingress]}
    production: {dropKinds: [Service]}
  manifests: [{path: web.yaml}]
- name: api
  ingress: {hosts: {production: b}}
  overlays: {production: {dropKinds: [Service]}}
- name: odd
  ingress: {host: misspelt}
hooks:
  beforeAll: [{use: sleep, with: {duration: 1s}}]
"""


def test_what_holds_for_an_environment(project: Project) -> None:
    """Other environments are left out, inheritance is resolved, templates are rendered."""
    assert effective(project.load(STACK)) == {
        "project": "shop",
        "namespace": {"patterns": {"staging": "shop-x"}},
        "maxSlots": 3,
        "registry": "registry.staging",
        "baseDomain": {"staging": "stage.example"},
        "versions": {"go": "1.10"},
        "environments": {
            "staging": {
                "imagePullPolicy": "Always",
                "slotBootstrapInfra": ["db"],
                "context": "here",
            }
        },
        "images": {"api": {"type": "build", "repository": "r", "tagTemplate": "1.10"}},
        "infrastructure": [{"name": "base", "when": "false"}],
        "services": [
            {
                "name": "web",
                "image": {"repository": "r", "tagTemplate": "1.10"},
                "ingress": {"hosts": {"staging": "a"}},
                "overlays": {"staging": {"dropKinds": ["Ingress"]}},
                "manifests": [{"path": "web.yaml"}],
            },
            {"name": "api"},
            {"name": "odd", "ingress": {"host": "misspelt"}},
        ],
        "hooks": {"beforeAll": [{"use": "sleep", "with": {"duration": "1s"}}]},
    }


def test_an_environment_that_is_not_there(project: Project) -> None:
    """It can be looked at as it could be rendered."""
    found = effective(project.load("project: shop\nenvironments: {staging: {}}\n", env="qa"))

    assert found == {
        "project": "shop",
        "namespace": {"patterns": {"qa": "shop-qa"}},
        "environments": {"qa": {}},
    }
