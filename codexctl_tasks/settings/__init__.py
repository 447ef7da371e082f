"""
What the user asked for: flags first, then ``CODEXCTL_*``, then the default.

Only this package reads the process environment; it makes the objects of `requests`.
"""

from codexctl_tasks.settings.cleanups import (
    cleanup_request,
    event_cleanup_request,
    gc_request,
    gc_step_request,
)
from codexctl_tasks.settings.comments import comment_request
from codexctl_tasks.settings.deploys import (
    deploy_request,
    doctor_request,
    explain_request,
    hooks_request,
    render_request,
    template_request,
)
from codexctl_tasks.settings.environment import (
    colour_wanted,
    debugging,
    github_workspace,
    in_github_actions,
)
from codexctl_tasks.settings.gates import gate_request
from codexctl_tasks.settings.images import gc_images_request, images_request
from codexctl_tasks.settings.prompt_runs import prompt_run_request
from codexctl_tasks.settings.publishing import finish_request, publish_request
from codexctl_tasks.settings.slots import (
    ensure_ready_request,
    ensure_slot_request,
    release_request,
    slot_request,
    slot_set_request,
)
from codexctl_tasks.settings.sources import source
from codexctl_tasks.settings.workflows import ci_request, step_request, workflow_secrets
from codexctl_tasks.settings.workspaces import sync_request

__all__ = (
    "ci_request",
    "cleanup_request",
    "colour_wanted",
    "comment_request",
    "debugging",
    "deploy_request",
    "doctor_request",
    "ensure_ready_request",
    "ensure_slot_request",
    "event_cleanup_request",
    "explain_request",
    "finish_request",
    "gate_request",
    "gc_images_request",
    "gc_request",
    "gc_step_request",
    "github_workspace",
    "hooks_request",
    "images_request",
    "in_github_actions",
    "prompt_run_request",
    "publish_request",
    "release_request",
    "render_request",
    "slot_request",
    "slot_set_request",
    "source",
    "step_request",
    "sync_request",
    "template_request",
    "workflow_secrets",
)
