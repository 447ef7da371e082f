"""`Images` in templates: one place that says where an image is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.stack.effective import effective

if TYPE_CHECKING:
    from tests.support.project import Project

IMAGES = """\
versions: { api: "1.2" }
images:
  redis: { type: external, from: docker.io/library/redis:7.4, local: localhost:5000/redis:7.4 }
  api:
    type: build
    repository: localhost:5000/api
    tagTemplate: '{{ "{{ index .Versions \\"api\\" }}" }}'
  late: { type: build, repository: r/late, tag: '{{ "{{ nosuch }}" }}' }
"""


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ .Images.redis }}", "localhost:5000/redis:7.4"),
        ('{{ index .Images "api" }}', "localhost:5000/api:1.2"),
        ("{{ Images.api }}", "localhost:5000/api:1.2"),
        ("{{ Images['api'] }}", "localhost:5000/api:1.2"),
        ('{{ index .Images "nosuch" }}', ""),
    ],
)
def test_where_an_image_is(project: Project, template: str, text: str) -> None:
    """Mirrored ones are where they are mirrored to; built ones have the tag of this environment."""
    assert project.text(template, stack=IMAGES) == text


def test_an_unknown_image(project: Project) -> None:
    """A mistyped name is an error as with every other map."""
    with pytest.raises(ConfigurationError):
        project.text("{{ Images.nosuch }}", stack=IMAGES)


def test_a_tag_that_cannot_be_rendered_disturbs_only_who_asks_for_it(project: Project) -> None:
    """A deploy of images that were pinned needs no variable of the job that built them."""
    assert project.text("{{ Images.api }}", stack=IMAGES)
    with pytest.raises(ConfigurationError, match=r"images\.late\.tag"):
        project.text("{{ Images.late }}", stack=IMAGES)


VERSION = 'versions: {api: "{{ Env }}"}\n'
HELD = "{{ Versions.api }}"
"""A version that is a template itself: while the file is rendered, that template."""


def test_the_image_of_the_proxy(project: Project) -> None:
    """A version that is a template itself comes to the same as in tags and manifests."""
    loaded = project.load(f"project: shop\n{VERSION}codex: {{proxy: {{image: 'r/agent:{HELD}'}}}}")
    assert loaded.proxy_image() == "r/agent:staging"
    assert effective(loaded)["codex"]["proxy"]["image"] == "r/agent:staging"


@pytest.mark.parametrize(
    ("image", "key"),
    [
        (f"{{type: build, repository: 'r/{HELD}', tag: '1'}}", "repository"),
        (f"{{from: 'docker.io/r:{HELD}'}}", "from"),
        (f"{{type: external, from: 'docker.io/r:1', local: 'r:{HELD}'}}", "local"),
    ],
)
def test_a_template_that_stays_one(project: Project, image: str, key: str) -> None:
    """A manifest never gets an image that no node could pull: the place of its name is told."""
    with pytest.raises(ConfigurationError, match=rf"^services.yaml:3: images\.api\.{key}: holds"):
        project.text("{{ Images.api }}", stack=f"{VERSION}images: {{api: {image}}}")


def test_a_template_that_stays_one_in_the_proxy(project: Project) -> None:
    """One that is still there the second time is refused before a pod is made of it."""
    opened = """versions: {open: "{{ '{' * 2 }}"}\n"""
    text = f'project: shop\n{opened}codex: {{proxy: {{image: "r:{{{{ Versions.open }}}}"}}}}'
    loaded = project.load(text)
    with pytest.raises(ConfigurationError) as caught:
        loaded.proxy_image()
    assert str(caught.value).startswith("services.yaml:3: codex.proxy.image: holds a template")
    assert caught.value.exit_code == 3
