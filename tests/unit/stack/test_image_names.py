"""`Images` in templates: one place that says where an image is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codexctl_tasks.errors import ConfigurationError

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
