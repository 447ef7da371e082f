"""``codex.links``: the pages of an environment, on the host that it really has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.settings import source
from codexctl_tasks.stack.links import host_of, pages_of
from codexctl_tasks.stack.loading import load_stack

if TYPE_CHECKING:
    from tests.support.project import Project

EXAMPLES = Path(__file__).parents[3] / "examples"
DOMAIN = "baseDomain: {ai: ai.example.com, staging: staging.example.com}\n"
INGRESS = """
services:
  - {name: worker}
  - {name: old, when: "no", ingress: {hosts: {ai: old.example.com}}}
  - {name: web, ingress: {hosts: {ai: "slot-{{ Slot }}.example.com"}}}
"""
HOSTS = {
    "of a slot": (DOMAIN, "ai", "3", "dev-3.ai.example.com"),
    "of an environment without slots": (DOMAIN, "staging", "0", "staging.example.com"),
    "of ai without a slot": (DOMAIN, "ai", "0", "ai.example.com"),
    "of a domain that names the slot": (
        'baseDomain: {ai: "s{{ Slot }}.example.com"}',
        *("ai", "3", "s3.example.com"),
    ),
    "of a service that takes part": (DOMAIN + INGRESS, "ai", "3", "slot-3.example.com"),
    "of a service, elsewhere": (DOMAIN + INGRESS, "staging", "0", "staging.example.com"),
    "with a port": ("baseDomain: {ai: 'localhost:8080'}", "ai", "0", "localhost:8080"),
    "nobody says it": ("", "ai", "3", ""),
    "no host": ("baseDomain: {ai: 'evil.example/@x)'}", "ai", "3", ""),
}


@pytest.mark.parametrize(("text", "env", "slot", "host"), HOSTS.values(), ids=HOSTS)
def test_the_host(project: Project, text: str, env: str, slot: str, host: str) -> None:
    """The Ingress counts more than the convention."""
    assert host_of(project.load(f"project: shop\n{text}", env=env, slot=slot)) == host


def test_the_pages(project: Project) -> None:
    """Paths are relative to the host, whole addresses are not; nothing in them is Markdown."""
    links = """
codex:
  links:
    - {title: Shop, path: /}
    - {title: " API ", path: "api/offers?limit=5#top"}
    - {title: "", path: /admin}
    - {title: Runs, path: "https://ci.example.com/runs (1)"}
    - {title: Odd, path: "/a b)[x](//evil)<y>@octo"}
    - {title: No host, path: "https://user@evil/"}
"""
    found = pages_of(project.load(f"project: shop\n{DOMAIN}{links}", env="ai", slot="3"))

    assert [tuple(page) for page in found] == [
        ("Shop", "https://dev-3.ai.example.com/"),
        ("API", "https://dev-3.ai.example.com/api/offers?limit=5#top"),
        ("https://dev-3.ai.example.com/admin", "https://dev-3.ai.example.com/admin"),
        ("Runs", "https://ci.example.com/runs%20%281%29"),
        ("Odd", "https://dev-3.ai.example.com/a%20b%29%5Bx%5D%28//evil%29%3Cy%3E%40octo"),
    ]


def test_pages_without_a_host(project: Project) -> None:
    """A path alone would lead to GitHub: it is left out."""
    links = "codex: {links: [{title: Shop, path: /}, {title: CI, path: 'http://ci.example.com'}]}"
    found = pages_of(project.load(f"project: shop\n{links}", env="ai", slot="3"))

    assert [tuple(page) for page in found] == [("CI", "http://ci.example.com/")]


def test_the_pages_of_the_market() -> None:
    """They are where its Ingress is."""
    loaded = load_stack(source(config=str(EXAMPLES / "market/services.yaml"), env="ai", slot="3"))

    assert [tuple(page) for page in pages_of(loaded)] == [
        ("Market", "https://slot-3.ai.market.example.com/"),
        ("API", "https://slot-3.ai.market.example.com/api/offers"),
    ]
