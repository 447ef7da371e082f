"""The order of application."""

from __future__ import annotations

from codexctl_tasks.apply.stages import in_deletion_order, in_waves
from tests.support.objects import names, placed, yaml_of

KINDS = (
    "Ingress",
    "Deployment",
    "ValidatingWebhookConfiguration",
    "Service",
    "Anything",
    "Secret",
    "ClusterRole",
    "CustomResourceDefinition",
    "Namespace",
    "ConfigMap",
)


def test_what_others_refer_to_comes_first() -> None:
    """Namespaces, definitions, configuration, services, workloads, then what watches them."""
    [wave] = in_waves(placed("".join(yaml_of(kind, "x") for kind in KINDS)))

    assert [names(stage) for stage in wave] == [
        ["Namespace x"],
        ["CustomResourceDefinition x"],
        ["ClusterRole x"],
        ["Secret x", "ConfigMap x"],
        ["Service x"],
        ["Deployment x", "Anything x"],
        ["Ingress x"],
        ["ValidatingWebhookConfiguration x"],
    ]


def test_waves_come_in_ascending_order() -> None:
    """A negative wave comes before everything without one."""

    def of(wave: int) -> str:
        return f'  annotations: {{codexctl/wave: "{wave}"}}'

    objects = placed(
        yaml_of("Job", "late", of(10))
        + yaml_of("Secret", "plain")
        + yaml_of("Job", "first", of(-1))
        + yaml_of("ConfigMap", "late", of(10))
    )

    assert [[names(stage) for stage in wave] for wave in in_waves(objects)] == [
        [["Job first"]],
        [["Secret plain"]],
        [["ConfigMap late"], ["Job late"]],
    ]
    assert [names(stage) for stage in in_deletion_order(objects)] == [
        ["Job late"],
        ["ConfigMap late"],
        ["Secret plain"],
        ["Job first"],
    ]


def test_nothing_is_no_wave() -> None:
    """An environment whose items are all filtered out deploys nothing."""
    assert in_waves([]) == []
    assert in_deletion_order([]) == []
