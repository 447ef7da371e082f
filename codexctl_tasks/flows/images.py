"""
Images before a deploy: mirror what comes from elsewhere, build what is the team's own, report.

Mirroring comes first: a build may stand on an image that is mirrored.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codexctl_tasks.errors import DONE, ConfigurationError, UsageError, did_you_mean
from codexctl_tasks.flows.reporting import outputs_text, write_report
from codexctl_tasks.images.catalogue import Catalogue, catalogue_of
from codexctl_tasks.reports import images as report
from codexctl_tasks.stack.loading import load_stack
from codexctl_tasks.stack.pins import pins_text

if TYPE_CHECKING:
    from codexctl_tasks.requests import ImagesRequest
    from codexctl_tasks.world.outside import Outside
