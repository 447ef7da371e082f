"""How values of build arguments reach a builder."""

from __future__ import annotations

import pytest

from codexctl_tasks.images.backends.build_arguments import hand_over, settings_among


def test_values_are_in_the_environment() -> None:
    """Only names stand in the command line, in an order that does not change."""
    assert hand_over({"TOKEN": "hunter2", "EMPTY": ""}, {}) == (
        ["EMPTY", "TOKEN"],
        {"EMPTY": "", "TOKEN": "hunter2"},
    )


@pytest.mark.parametrize(
    "name",
    [
        *("PATH", "HOME", "http_proxy", "HTTPS_PROXY", "DOCKER_CONFIG", "BUILDX_BUILDER", "LC_ALL"),
        *("BUILDKIT_HOST", "BUILDAH_FORMAT", "REGISTRY_AUTH_FILE", "SOURCE_DATE_EPOCH", "GODEBUG"),
        *("STORAGE_DRIVER", "CONTAINERS_CONF", "XDG_RUNTIME_DIR", "SSL_CERT_FILE", "LD_PRELOAD"),
    ],
)
def test_what_the_builder_would_take_for_its_own(name: str) -> None:
    """An argument named PATH is for the image, and must not decide what is run here."""
    assert hand_over({name: "x"}, {name: "y"}) == ([f"{name}=x"], {})


@pytest.mark.parametrize(
    "name",
    [
        *("PATH_PREFIX", "MY_HOME", "NODE_ENV", "VERSION", "LOGO_URL", "GOOGLE_MAPS_ID"),
        *("GOPROXY", "DOCKER_PASSWORD", "REGISTRY_TOKEN", "BUILDKIT_SECRET"),
    ],
)
def test_names_that_only_look_alike(name: str) -> None:
    """They mean nothing to a builder; a secret is in no command line, whatever it is called."""
    assert hand_over({name: "x"}, {})[0] == [name]


def test_what_is_in_the_environment_anyway() -> None:
    """A proxy with a password, which this machine uses itself, need not be shown either."""
    proxy = "http://me:hunter2@proxy"

    assert hand_over({"HTTP_PROXY": proxy}, {"HTTP_PROXY": proxy})[0] == ["HTTP_PROXY"]


def test_a_builder_is_told_its_settings_alone() -> None:
    """What else a stack knows may be secret, and the steps of a build could print it."""
    variables = {"PATH": "/bin", "https_proxy": "p", "DB_DSN": "hunter2", "DOCKER_TOKEN": "hunter2"}
    assert settings_among(variables) == {"PATH": "/bin", "https_proxy": "p"}
