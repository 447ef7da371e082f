"""
Every task on one page: flags in, one call of a flow out.

Flows are imported inside the tasks, so that ``--list`` and ``--help`` stay fast. A flag that is
not given is read from ``CODEXCTL_NAME``, for instance ``CODEXCTL_ENV`` for ``--env``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoke.collection import Collection

from codexctl_tasks import settings
from codexctl_tasks.command import Flag, command, console

if TYPE_CHECKING:
    from invoke.context import Context

    from codexctl_tasks.world.outside import Outside

SOURCE = (
    Flag("env", "Environment in services.yaml, such as staging."),
    Flag("slot", "Slot number, from 1 (default: no slot)."),
    Flag("namespace", "Namespace to use instead of the pattern in services.yaml."),
    Flag("config", "Path of services.yaml (default: services.yaml)."),
    Flag("manifests", "Plain YAML file or folder instead of services.yaml; repeatable.", list),
    Flag("vars", "Variables for templates: A=1,B=2."),
    Flag("var-file", "File with variables for templates: a line KEY=VALUE each."),
    Flag("only-services", "Leave out all services but these: a,b."),
    Flag("skip-services", "Leave out these services."),
    Flag("only-infra", "Leave out all infrastructure items but these."),
    Flag("skip-infra", "Leave out these infrastructure items."),
    Flag("strict", "Refuse unknown keys in services.yaml instead of warning.", bool),
    Flag("pins", "File of images --pin: deploy exactly what was mirrored and built."),
)
CLUSTER = (
    Flag("kubeconfig", "Path of the kubeconfig (default: KUBECONFIG, then ~/.kube/config)."),
    Flag("context", "Context in the kubeconfig (default: its current one)."),
)
STACK = Flag("stack", "Name to remember the objects by (default: project.env of services.yaml).")
PRUNE = (
    Flag("no-prune", "Leave objects alone that were applied before and are not desired now.", bool),
    Flag("prune-protected", "Prune volume claims, namespaces and custom kinds as well.", bool),
)
HOOKS = Flag("no-hooks", "Leave out the hooks of services.yaml.", bool)
FORCE = Flag("force-conflicts", "Take over fields that another field manager owns.", bool)
TIMEOUT = Flag("wait-timeout", "For all objects together: 90s, 10m, 1h30m (default: 10m).")
OUTPUT = Flag("output", "Report on stdout: text (nothing there, the default) or json.")
ONLY = Flag("only", "Leave out all images but these: a,b.")
PLATFORM = Flag("platform", "Only this one, such as linux/amd64.")
DRY_RUN = Flag("dry-run", "Say what would be done; nothing is written.", bool)
PIN = Flag("pin", "Write the digests to this file, for --pins of a deploy.")
BACKEND = Flag("backend", "Builder to use (default: the first that works; doctor lists them).")
BUILDS = (
    Flag("force", "Build although nothing has changed.", bool),
    Flag("no-push", "Build, and push nothing.", bool),
    Flag("jobs", "Builds at the same time (default: half of the cores, at most 4)."),
    BACKEND,
    Flag("build-timeout", "For each build: 90s, 10m (default: 1h)."),
    Flag("logs", "Folder for the logs of builds."),
)
SLOTS = (
    Flag("env", "Environment of the slots in services.yaml (default: ai)."),
    *(flag for flag in SOURCE if flag.name in ("config", "vars", "var-file", "strict")),
)
OWNER = (
    Flag("issue", "Number of the Issue."),
    Flag("pr", "Number of the pull request."),
    Flag("repo", "Repository of Issue or PR: owner/name (default: GITHUB_REPOSITORY)."),
)
WORKSPACE = (
    Flag("claim", "PersistentVolumeClaim of the workspace (default: workspace)."),
    Flag("image", "Image with a shell for the pod that receives (default: that of the stack)."),
    Flag("overwrite", "Also what somebody has changed there since the last sync.", bool),
)
REMOVAL = (
    *(flag for flag in OWNER if flag.name == "repo"),
    *SLOTS,
    *CLUSTER,
    Flag("wait-timeout", "For each step of each slot: 90s, 10m (default: 10m)."),
    OUTPUT,
)
SUBJECT = (
    Flag("result-dir", "Folder that prompt-run has written to (default: agent-result)."),
    Flag("kind", "What the run was for: dev, review, plan, plan-review, repair (default: dev)."),
    Flag("issue", "Issue that it is about (default: that of the event)."),
    Flag("pr", "Pull request that it is about (default: that of the event)."),
    *(flag for flag in OWNER if flag.name == "repo"),
)
FILES = (
    Flag("junit", "Write the report to this file as JUnit XML too, one test for each workload."),
    Flag("html", "Write the report to this file too, as one page with timelines, events, logs."),
)


@command(
    *SOURCE,
    Flag("output-dir", "Write one file for each file of manifests here, instead of printing."),
    Flag("show-values", "Print what templates can refer to and where it came from.", bool),
)
def render(_: Context, **given: Any) -> int:
    """Print the manifests of an environment; the cluster is not asked."""
    from codexctl_tasks.flows import render

    return render.render(settings.render_request(**given), console())


@command(
    Flag("file", "The template.", positional=True),
    Flag("data", "JSON file with the names that the template refers to."),
    Flag("dialect", "go or jinja (default: recognised)."),
)
def render_template(_: Context, file: str, data: str, dialect: str) -> int:
    """Render one template alone, with names from a JSON file."""
    from codexctl_tasks.flows import render

    return render.render_template(settings.template_request(file, data, dialect))


@command(*SOURCE)
def config(_: Context, **given: Any) -> int:
    """Print the effective configuration of an environment, secrets masked."""
    from codexctl_tasks.flows import render

    return render.config(settings.render_request(**given).source, console())


@command()
def schema(_: Context) -> int:
    """Print the JSON Schema of services.yaml, for editors."""
    from codexctl_tasks.flows import render

    return render.schema()


@command(
    *SOURCE,
    *CLUSTER,
    STACK,
    FORCE,
    *PRUNE,
    Flag("detailed-exitcode", "End with 2 when something would change.", bool),
    OUTPUT,
)
def plan(_: Context, **given: Any) -> int:
    """Print what apply-wait would change in the cluster, secrets masked; changes nothing."""
    from codexctl_tasks.flows import plan

    return plan.plan(settings.deploy_request(**given), _outside())


@command(*SOURCE, *CLUSTER, STACK, FORCE, HOOKS, TIMEOUT, OUTPUT, *FILES)
def apply(_: Context, **given: Any) -> int:
    """Apply the manifests of an environment."""
    from codexctl_tasks.flows import deploy

    return deploy.apply(settings.deploy_request(**given), _outside())


@command(*SOURCE, *CLUSTER, TIMEOUT, OUTPUT, *FILES)
def wait(_: Context, **given: Any) -> int:
    """Wait until an environment is healthy, or say why it is not; nothing is applied."""
    from codexctl_tasks.flows import deploy

    return deploy.wait(settings.deploy_request(**given), _outside())


@command(
    Flag("object", "Only this one: KIND/NAME, such as deployment/web (default: all)."),
    *SOURCE,
    *CLUSTER,
    OUTPUT,
)
def explain(_: Context, **given: Any) -> int:
    """Explain why something in a namespace is not healthy; nothing is changed."""
    from codexctl_tasks.flows import explain

    return explain.explain(settings.explain_request(**given), _outside())


@command(*SOURCE, *CLUSTER, STACK, BACKEND, OUTPUT)
def doctor(_: Context, **given: Any) -> int:
    """Check programs, cluster access, permissions, registries and disk; nothing is changed."""
    from codexctl_tasks.flows import doctor

    return doctor.doctor(settings.doctor_request(**given), _outside())


@command(*SOURCE, *CLUSTER, STACK, FORCE, *PRUNE, HOOKS, TIMEOUT, OUTPUT, *FILES)
def apply_wait(_: Context, **given: Any) -> int:
    """Apply the manifests of an environment and wait until they are healthy."""
    from codexctl_tasks.flows import deploy

    return deploy.apply_and_wait(settings.deploy_request(**given), _outside())


@command(*SOURCE, *CLUSTER, STACK, HOOKS, TIMEOUT, OUTPUT)
def destroy(_: Context, **given: Any) -> int:
    """Delete the objects of an environment and wait until they are gone."""
    from codexctl_tasks.flows import destroy

    return destroy.destroy(settings.deploy_request(**given), _outside())


@command(*SOURCE, ONLY, PLATFORM, DRY_RUN, PIN, OUTPUT)
def images_mirror(_: Context, **given: Any) -> int:
    """Mirror external images into the project's registry."""
    from codexctl_tasks.flows import images

    return images.mirror(settings.images_request(**given), _outside())


@command(*SOURCE, ONLY, PLATFORM, DRY_RUN, *BUILDS, PIN, OUTPUT)
def images_build(_: Context, **given: Any) -> int:
    """Build and push the images that have changed."""
    from codexctl_tasks.flows import images

    return images.build(settings.images_request(**given), _outside())


@command(*SOURCE, ONLY, PLATFORM, DRY_RUN, *BUILDS, PIN, OUTPUT)
def images(_: Context, **given: Any) -> int:
    """Mirror external images, then build and push those that have changed."""
    from codexctl_tasks.flows import images

    return images.mirror_and_build(settings.images_request(**given), _outside())


@command(
    Flag("show", "Only this one."),
    Flag("run", "Run this one, alone."),
    Flag("with", "A parameter of it: KEY=VALUE, the value as in services.yaml; repeatable.", list),
    Flag("timeout", "How long it may run: 90s, 10m (default: 10m)."),
    *SOURCE,
    *CLUSTER,
    Flag("output", "The list on stdout: text (the default) or json."),
)
def hooks(_: Context, **given: Any) -> int:
    """List the hooks with their parameters and an example each; or run one: hooks run NAME."""
    from codexctl_tasks.flows import hooks

    return hooks.hooks(settings.hooks_request(**given), _outside())


@command(
    Flag("only", "Only these entries of images in services.yaml: a,b (default: all)."),
    Flag("delete", "Really delete; without it only told. No CODEXCTL_DELETE.", bool),
    Flag("keep", "Newest images of each repository that stay in any case (default: 10)."),
    Flag("protect", "Tags that stay: v*,main (default: v*,latest,main,master,stable)."),
    Flag("younger-than", "What was made within this time stays (default: 24h)."),
    Flag("contexts", "Clusters to ask: a,b (default: the current one, and all of services.yaml)."),
    Flag("ignore-kinds", "Custom kinds that need not be read: rollouts.argoproj.io,..."),
    *(flag for flag in SOURCE if flag.name in ("config", "vars", "var-file", "slot", "strict")),
    Flag("env", "Environment to look at beside those that services.yaml names."),
    *(flag for flag in CLUSTER if flag.name == "kubeconfig"),
    Flag("output", "Report on stdout: text (nothing there, the default) or json."),
)
def gc_images(_: Context, **given: Any) -> int:
    """Delete images of the stack's repositories that no cluster uses; tells only, by default."""
    from codexctl_tasks.flows import gc_images

    return gc_images.gc_images(settings.gc_images_request(**given), _outside())


@command(
    *OWNER,
    Flag("branch", "Branch that is worked on; the record remembers it."),
    Flag("slot-wait", "How long to wait while all are taken: 90s, 10m, 0 (default: 30m)."),
    Flag("slot-lease", "How long it is this run's without being renewed (default: 30m)."),
    *SLOTS,
    *CLUSTER,
    OUTPUT,
)
def ensure_slot(_: Context, **given: Any) -> int:
    """Give an Issue or a PR its slot: the one that it has, or a free one; waits for one."""
    from codexctl_tasks.flows.slots import allocation

    return allocation.ensure_slot(settings.ensure_slot_request(**given), _outside())


@command(
    Flag("slot", "Number of the slot, instead of an Issue or PR."),
    *OWNER,
    *SLOTS,
    *CLUSTER,
    Flag("images", "Which are made before: mirror, build, all or none (default: all)."),
    BACKEND,
    *WORKSPACE,
    Flag("no-sync", "Leave the workspace as it is.", bool),
    Flag("force", "Deploy although nothing has changed. No CODEXCTL_FORCE.", bool),
    Flag("allow-unhealthy", "End with 0 although the environment is not healthy.", bool),
    Flag("slot-lease", "How long it is this run's after each renewal (default: 30m)."),
    TIMEOUT,
    HOOKS,
    OUTPUT,
)
def ensure_ready(_: Context, **given: Any) -> int:
    """Bring the environment of a slot up to date: sources, images, deploy; wait until healthy."""
    from codexctl_tasks.flows.slots import ready

    return ready.ensure_ready(settings.ensure_ready_request(**given), _outside())


@command(
    *SLOTS,
    *CLUSTER,
    Flag("output", "The list on stdout: text (the default) or json."),
)
def slots(_: Context, **given: Any) -> int:
    """List the slots: state, for whom, held by which run, for how long; nothing is changed."""
    from codexctl_tasks.flows.slots import allocation

    return allocation.slots(settings.slot_request(**given), _outside())


@command(
    Flag("slot", "Number of the slot."),
    Flag("issue", "Issue that it is for from now on; 0: none."),
    Flag("pr", "Pull request that it is for from now on; 0: none."),
    Flag("branch", "Branch that is worked on."),
    Flag("state", "allocated, preparing, ready, unhealthy or releasing."),
    *(flag for flag in OWNER if flag.name == "repo"),
    Flag("force", "Also while another run holds it. No CODEXCTL_FORCE.", bool),
    *SLOTS,
    *CLUSTER,
    OUTPUT,
)
def slot_set(_: Context, **given: Any) -> int:
    """Change what is recorded of a slot; nothing is deployed or deleted."""
    from codexctl_tasks.flows.slots import allocation

    return allocation.slot_set(settings.slot_set_request(**given), _outside())


@command(
    Flag("slot", "Number of the slot, instead of an Issue or PR."),
    *OWNER,
    Flag("force", "Also what another run holds. No CODEXCTL_FORCE.", bool),
    *SLOTS,
    *CLUSTER,
    OUTPUT,
)
def release(_: Context, **given: Any) -> int:
    """Give back this run's right to work on a slot; the environment stays."""
    from codexctl_tasks.flows.slots import allocation

    return allocation.release(settings.release_request(**given), _outside())


@command(
    *SOURCE,
    *CLUSTER,
    *WORKSPACE,
    Flag("path", "Folder on it (default: the name of the project)."),
    Flag("folder", "Folder of this machine that is sent (default: that of services.yaml)."),
    Flag("output", "Report on stdout: text (nothing there, the default) or json."),
)
def sync_sources(_: Context, **given: Any) -> int:
    """Bring a folder into the workspace of a slot: what differs, and never over foreign work."""
    from codexctl_tasks.flows.slots import workspace

    return workspace.sync_sources(settings.sync_request(**given), _outside())


@command(
    Flag("slot", "This slot."),
    Flag("issue", "The slot of this Issue."),
    Flag("pr", "The slot of this pull request."),
    Flag("only-closed", "Not while GitHub says that the Issue or pull request is open.", bool),
    Flag("all", "All slots of this environment and repository. No CODEXCTL_ALL.", bool),
    Flag("dry-run", "Say what would be done; nothing is changed.", bool),
    Flag("force", "Also what another run holds, or has a damaged record. No CODEXCTL_FORCE.", bool),
    Flag("delete-branch", "Delete the branch of the pull request too, if that is closed.", bool),
    Flag("branch-prefix", "What such branches begin with; a number follows (codex/issue-)."),
    *REMOVAL,
    HOOKS,
)
def cleanup(_: Context, **given: Any) -> int:
    """Remove the environment of a slot, and free the slot; may be repeated at any time."""
    from codexctl_tasks.flows.slots import cleanup

    return cleanup.cleanup(settings.cleanup_request(**given), _outside())


@command(
    Flag("delete", "Really remove them; without it only told. No CODEXCTL_DELETE.", bool),
    Flag("ttl", "Remove also what was not used for so long (default: 168h)."),
    Flag("grace", "A run that was silent may come back for so long (default: 1h)."),
    *REMOVAL,
    HOOKS,
)
def gc(_: Context, **given: Any) -> int:
    """Remove slots that are over: closed, expired, half removed; tells only, by default."""
    from codexctl_tasks.flows.slots import gc

    return gc.gc(settings.gc_request(**given), _outside())


@command(
    Flag("slot", "Number of the slot (default: that of the Issue or PR)."),
    Flag("issue", "Issue to comment on (default: that of the slot, or of the event)."),
    Flag("pr", "Pull request to comment on (default: that of the slot, or of the event)."),
    *(flag for flag in OWNER if flag.name == "repo"),
    Flag("lang", "en or ru (default: codex.promptLang of services.yaml)."),
    Flag("state", "What to say instead of the record's state; released: the slot is gone."),
    Flag("ttl", "How long a slot that nobody uses stays: 24h (default: 168h)."),
    *SLOTS,
    *CLUSTER,
    OUTPUT,
)
def comment_pr(_: Context, **given: Any) -> int:
    """Tell an Issue or PR about its slot, in one comment that is kept up to date."""
    from codexctl_tasks.flows.slots import comment

    return comment.comment_pr(settings.comment_request(**given), _outside())


@command(
    Flag("slot", "Number of the slot (default: that of the Issue or PR)."),
    *OWNER,
    Flag("kind", "dev, review, plan, plan-review or repair (default: dev)."),
    Flag("lang", "en or ru (default: codex.promptLang of services.yaml)."),
    Flag("model", "Model (default: codex.model of services.yaml)."),
    Flag("effort", "none, minimal, low, medium, high or xhigh (default: that of services.yaml)."),
    Flag("models", "Only these may labels and --model choose: a,b (default: any)."),
    Flag("seen", "What gate saw of the Issue or PR: changes since then are refused or left out."),
    Flag("resume", "Go on with this thread of the agent, or the last one; unknown: a new one."),
    Flag("template", "Template of the prompt, a file of the project (default: that of the kind)."),
    Flag("prompt-file", "File with the whole prompt, instead of a template."),
    Flag("output-schema", "JSON Schema that the last message has to meet."),
    Flag("timeout", "For all attempts together: 90s, 30m (default: codex.timeouts.exec, or 1h)."),
    Flag("retries", "Further attempts after a failure that may pass, 0 to 3 (default: 3)."),
    Flag("model-url", "A server with /responses, instead of a proxy with CODEXCTL_MODEL_KEY."),
    Flag("result-dir", "Folder for what the run leaves (default: agent-result)."),
    Flag("dry-run", "Print prompt, configuration and command; nothing is started.", bool),
    Flag("force", "Cancel a run that goes on in the workspace. No CODEXCTL_FORCE.", bool),
    Flag("slot-lease", "For how long the slot is this run's after each renewal (default: 30m)."),
    *(flag for flag in WORKSPACE if flag.name == "claim"),
    Flag("path", "Folder on it in which the agent works (default: the name of the project)."),
    Flag("folder", "Checkout that was synced; its commit is the base (default: services.yaml's)."),
    *SLOTS,
    *CLUSTER,
    OUTPUT,
)
def prompt_run(_: Context, **given: Any) -> int:
    """Let an agent work in a slot, and say honestly what came of it."""
    from codexctl_tasks.flows.agent import prompt_run

    return prompt_run.prompt_run(settings.prompt_run_request(**given), _outside())


@command(
    *SUBJECT,
    Flag("base-branch", "Branch that it is to be merged into (default: the default branch)."),
    Flag("branch-prefix", "What branches of agents begin with; a number follows (codex/issue-)."),
    *(flag for flag in SLOTS if flag.name != "env"),
    Flag("env", "Environment of services.yaml that is read (default: ai)."),
    Flag("dry-run", "Verify, and say what would be done; nothing is published.", bool),
    OUTPUT,
)
def publish(_: Context, **given: Any) -> int:
    """Publish what an agent has made: verified, pushed to its branch, as a draft pull request."""
    from codexctl_tasks.flows.agent import publish

    return publish.publish(settings.publish_request(**given), _outside())


@command(
    *SUBJECT,
    Flag("lang", "Language of the comment: en or ru (default: en)."),
    Flag("no-comment", "Leave the Issue or pull request alone.", bool),
    OUTPUT,
)
def finish(_: Context, **given: Any) -> int:
    """Tell how an agent's run ended, in a comment that is kept up to date; its exit code."""
    from codexctl_tasks.flows.agent import finish

    return finish.finish(settings.finish_request(**given), _outside())


@command(
    Flag("kind", "dev, review, plan, plan-review or repair; workflow_dispatch only."),
    *OWNER,
    Flag("model", "Model of the agent (default: labels [ai-model-X])."),
    Flag("effort", "How much it thinks (default: labels [ai-reasoning-Y])."),
    Flag("models", "Only these may be chosen: a,b (default: any)."),
    Flag("labels", "What starts a run: LABEL=KIND,... (default: [ai-dev]=dev and so on)."),
    Flag("command", "First word of a comment that starts a run (default: /codex); none: no."),
    Flag("branch-prefix", "Of branches of agents, whose reviews start runs."),
    Flag("app-id", "Of the GitHub App that codexctl writes as; its comments start nothing."),
    Flag("allowed-users", "People who may start runs without write access: a,b."),
    Flag("allowed-bots", "Bots that may start runs: renovate[bot]."),
    Flag("allow-forks", "Also for pull requests from forks.", bool),
    Flag("max-runs", "Of one account within an hour; 0: no limit (default: 20)."),
    OUTPUT,
)
def gate(_: Context, **given: Any) -> int:
    """Tell whether a run of an agent may begin: who started it, and for what."""
    from codexctl_tasks.flows.agent import gate

    return gate.gate(settings.gate_request(**given), _outside())


@command()
def ci_doctor(_: Context) -> int:
    """Check what a workflow was given and what the work needs; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci

    return ci.run(ci.doctor, _outside())


@command()
def ci_images(_: Context) -> int:
    """Mirror and build as CODEXCTL_IMAGES says, and pin what came of it in CODEXCTL_PINS."""
    from codexctl_tasks.flows import ci

    return ci.run(ci.images, _outside())


@command()
def ci_deploy(_: Context) -> int:
    """Deploy what CODEXCTL_PINS pins and wait; with CODEXCTL_DRY_RUN print the plan instead."""
    from codexctl_tasks.flows import ci

    return ci.run(ci.deploy, _outside())


@command()
def ci_ensure_slot(_: Context) -> int:
    """Give an Issue or a PR its slot, as ensure-slot does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.slots import allocation

    return ci.run_task(allocation.ensure_slot, settings.ensure_slot_request, _outside())


@command()
def ci_ensure_ready(_: Context) -> int:
    """Make a slot ready, as ensure-ready does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.slots import ready

    return ci.run_task(ready.ensure_ready, settings.ensure_ready_request, _outside())


@command()
def ci_comment_pr(_: Context) -> int:
    """Tell an Issue or PR about its slot, as comment-pr does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.slots import comment

    return ci.run_task(comment.comment_pr, settings.comment_request, _outside())


@command()
def ci_release(_: Context) -> int:
    """Give a slot back, as release does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.slots import allocation

    return ci.run_task(allocation.release, settings.release_request, _outside())


@command()
def ci_cleanup(_: Context) -> int:
    """Remove the slot of what was closed, as cleanup does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.slots import cleanup

    return ci.run_task(cleanup.cleanup, settings.event_cleanup_request, _outside())


@command()
def ci_gc(_: Context) -> int:
    """Remove slots that are over, as gc does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.slots import gc

    return ci.run_task(gc.gc, settings.gc_step_request, _outside())


@command()
def ci_prompt_run(_: Context) -> int:
    """Let an agent work in a slot, as prompt-run does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.agent import prompt_run

    return ci.run_task(prompt_run.prompt_run, settings.prompt_run_request, _outside())


@command()
def ci_publish(_: Context) -> int:
    """Publish what an agent has made, as publish does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.agent import publish

    return ci.run_task(publish.publish, settings.publish_request, _outside())


@command()
def ci_finish(_: Context) -> int:
    """Tell how a run ended, as finish does; values come from CODEXCTL_*, CODEXCTL_NEEDS too."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.agent import finish

    return ci.run_task(finish.finish, settings.finish_request, _outside())


@command()
def ci_gate(_: Context) -> int:
    """Tell whether a run of an agent may begin, as gate does; values come from CODEXCTL_*."""
    from codexctl_tasks.flows import ci
    from codexctl_tasks.flows.agent import gate

    return ci.run_task(gate.gate, settings.gate_request, _outside())


_CI = Collection("ci")
for _task in (
    *(ci_doctor, ci_images, ci_deploy),
    *(ci_ensure_slot, ci_ensure_ready, ci_comment_pr, ci_release, ci_cleanup, ci_gc),
    *(ci_gate, ci_prompt_run, ci_publish, ci_finish),
):
    _CI.add_task(_task, _task.__name__.removeprefix("ci_").replace("_", "-"))

namespace = Collection(
    *(render, render_template, config, schema, plan),
    *(images, images_mirror, images_build, gc_images),
    *(apply, wait, apply_wait, explain, destroy, doctor, hooks),
    *(ensure_slot, ensure_ready, sync_sources, slots, slot_set, release, comment_pr, cleanup, gc),
    *(gate, prompt_run, publish, finish),
    _CI,
)


def _outside() -> Outside:
    from codexctl_tasks.world.outside import real_outside

    return real_outside(console())
