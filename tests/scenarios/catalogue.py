"""All scenarios, those that last longest first."""

from __future__ import annotations

from tests.scenarios import broken_pods, crashes, recoveries, refusals

SCENARIOS = sorted(
    broken_pods.SCENARIOS + crashes.SCENARIOS + refusals.SCENARIOS + recoveries.SCENARIOS,
    key=lambda scenario: -scenario.lasts_s,
)
