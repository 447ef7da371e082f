"""
The demo of an agent's run: an Issue gets a label, and a pull request comes of it.

Run it with ``make demo-agent``. Real are the Kubernetes (the sandbox), the shop in its slot, the
Codex CLI in its pod, the proxy with the key, and git; GitHub's API and the model are small servers
on this machine: no account, no key and no internet are needed but for Debian's and npm's packages.
What the run has left stays in ``build/demo-agent``; all else is removed, also after Ctrl-C. With
``make demo-agent HOLD=1`` the servers stay until then, for whoever wants to go on by hand.

Exit codes: 0 all went as told, 1 a step did not, 2 something is missing, 130 interrupted.
"""

from __future__ import annotations

import os
import platform
import shlex
import signal
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from demo_stage import Stage, perform
from demo_tools import (
    ROOT,
    Cluster,
    DemoError,
    Finished,
    Narrator,
    SetupError,
    Shell,
    find_codexctl,
)
from demo_world import (
    BRANCH,
    ISSUE,
    KEY,
    LABEL,
    OTHER_ISSUE,
    OTHER_TITLE,
    PERSON,
    REPO,
    TEXT,
    TITLE,
    World,
    push_agent_image,
    world,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = 8
FOLDER = ROOT / "build" / "demo-agent"
"""What stays when the demo is over."""
NAMESPACES = ("shop-system", "shop-codexctl-model")
"""Where slots are recorded, and where the proxy runs; both stay when a run is over."""
BY_HAND = (
    "ensure-slot",
    "ensure-ready",
    "prompt-run --result-dir ../result-by-hand",
    "publish --result-dir ../result-by-hand",
    "finish --result-dir ../result-by-hand",
    "release",
)
"""The tasks of a run, as docs/ai-run.md names them."""
_OF_A_RUNNER = ("GITHUB_", "RUNNER_", "OPENAI_")
"""Variables of this machine that would tell another story."""


@dataclass(kw_only=True)
class AgentDemo(Stage):
    """The story, told and played step by step."""

    environment: dict[str, str] = field(default_factory=dict, repr=False)
    """Of every job."""

    def play(self) -> None:
        """Play all steps; raise `DemoError` at the first that does not go as told."""
        began = time.monotonic()
        self.check_machine()
        self.start_cluster()
        cluster = Cluster(self.shell.environment)
        self.make_images()
        with world(self.shell.environment["SANDBOX_HOST"], FOLDER) as made:
            self.open_issue(made)
            with self.cleaned(cluster, made):
                self.ask_gate(made)
                self.make_slot_ready(made)
                self.let_agent_work(made)
                self.publish(made)
                self.finish(made)
                if os.environ.get("HOLD"):
                    self.hold(made)
        self.say_what_next(time.monotonic() - began)

    def check_machine(self) -> None:
        """Say at once what would be missing later."""
        if not self.sandbox:
            raise SetupError("SANDBOX=off: this demo plays in the sandbox only: leave it out")
        if platform.machine() != "x86_64":
            raise SetupError("machine: the pinned package of Codex is for x86_64: use such a one")

    def make_images(self) -> None:
        """Step 2: what the pods will run."""
        tell = self.narrator
        tell.step("Make the image of the agent")
        tell.say(
            "An agent works in a pod. Its image holds the Codex CLI from npm, compared with its "
            "hash, with git and Python: what examples/agent/Dockerfile describes. It is fetched "
            "once."
        )
        image = push_agent_image(self.registry)
        self.shell.environment["SHOP_AGENT_IMAGE"] = image
        self.push_bases()
        tell.success(f"{image} is in the registry")

    def open_issue(self, made: World) -> None:
        """Step 3: what starts it all."""
        tell = self.narrator
        tell.step("Ann adds a label to an Issue")
        tell.say(
            f"Three small servers run on this machine now: git, with the repository {REPO}, which "
            "is examples/shop; what the demo needs of GitHub's API; and a model that follows a "
            "script. In the repository there is an Issue:"
        )
        made.add_label()
        for line in (f"{TITLE}  {LABEL}", "", TEXT):
            tell.output(line)
        tell.say(
            f"{PERSON} may write to the repository, and adds {LABEL}. GitHub starts the workflow "
            "ai-run.yml. Its steps follow; each gets what GitHub tells it in variables:"
        )
        for name, value in made.variables().items():
            if "TOKEN" not in name:
                tell.command(f"export {name}={shlex.quote(value)}")
        self.environment = {
            name: value
            for name, value in self.shell.environment.items()
            if not name.startswith(_OF_A_RUNNER)
        }
        self.environment |= {
            **made.variables(),
            "SHOP_MODEL_URL": made.model.url,
        }

    def ask_gate(self, made: World) -> None:
        """Step 4: who may start a run."""
        self.narrator.step("The gate: may she?")
        self.narrator.say(
            "It asks GitHub for Ann's rights. The job has a token that only reads, and neither the "
            "cluster nor the model's key."
        )
        done = self.run_step("ci gate", made, has_cluster=False)
        if "refused" in done.output:
            raise DemoError("the gate refused her: its line above says why")
        self.narrator.success("the run is allowed")

    def make_slot_ready(self, made: World) -> None:
        """Step 5: an environment for this Issue alone."""
        tell = self.narrator
        tell.step("A slot: an environment for this Issue alone")
        tell.say(
            "A free number is taken; the shop's images are made, the sources brought into the "
            "slot's workspace, and the whole shop is deployed, with a pod for the agent."
        )
        self.run_step("ci ensure-slot", made)
        done = self.run_step("ci ensure-ready", made)
        tell.success(f"the shop runs in a namespace of its own after {done.seconds:.0f} s")

    def let_agent_work(self, made: World) -> None:
        """Step 6: the agent itself."""
        tell = self.narrator
        tell.step("The agent works")
        tell.say(
            "Codex runs in its pod, detached, and is told the Issue in a prompt. The key of the "
            "model is with a proxy in another namespace, which lives as long as the run. What the "
            "agent says is shown as it says it:"
        )
        tell.command("export OPENAI_API_KEY=...")
        done = self.run_step("ci prompt-run", made, OPENAI_API_KEY=KEY)
        asked = made.model.asked
        if {each.headers.get("Authorization") for each in asked} != {f"Bearer {KEY}"}:
            raise DemoError("the model was not asked with the key: look for the proxy above")
        tell.success(
            f"the agent is done after {done.seconds:.0f} s. The model was asked {len(asked)} "
            "times, always with the key, which the agent has never seen"
        )

    def publish(self, made: World) -> None:
        """Step 7: from a workspace to a branch."""
        tell = self.narrator
        tell.step("Check the work, and publish it")
        tell.say(
            "Another job, which reaches neither the cluster nor the model, takes the commits as a "
            "file, and believes nothing in it: it is unpacked beside a fresh clone, compared with "
            "the policy, and pushed to a branch of its own."
        )
        self.run_step("ci publish", made, has_cluster=False)
        pulls = list(made.github.facts.pulls.values())
        if len(pulls) != 1 or not made.forge.tip(REPO, BRANCH):
            raise DemoError("there is no pull request: the lines above say why")
        tell.say("The draft that a reviewer finds, and the change on the git server:")
        for line in (pulls[0]["title"], f"{pulls[0]['head']['ref']} into main", ""):
            tell.output(line)
        self.show_text(pulls[0]["body"])
        self.run(self.diff_words(), made)
        tell.success(f"pull request #{pulls[0]['number']} is there")

    def finish(self, made: World) -> None:
        """Step 8: tell people."""
        tell = self.narrator
        tell.step("Tell it on the Issue")
        self.run_step("ci finish", made, has_cluster=False)
        comments = made.github.bodies
        if len(comments) != 1:
            raise DemoError(f"there are {len(comments)} comments on the Issue instead of one")
        self.show_text(comments[0])
        tell.success("one comment, which the next run brings up to date")

    def hold(self, made: World) -> None:
        """Let somebody go on by hand until Ctrl-C, with another Issue."""
        tell, file = self.narrator, FOLDER / "environment"
        tell.title("The Issue is closed, and the slot is removed.")
        self.remove_slot(ISSUE, made)
        made.open_other_issue()
        exports = (f"export {k}={shlex.quote(v)}" for k, v in sorted(made.by_hand().items()))
        lines = [*self.preparations(), *self.choices(), *exports, f"cd {made.checkout}"]
        file.write_text("\n".join(lines) + "\n")
        tell.title("Now you: the servers run until Ctrl-C. In another terminal:")
        tell.say(f"There is another Issue, #{OTHER_ISSUE}: {OTHER_TITLE}.")
        tell.command(f"source {file}")
        for words in BY_HAND:
            tell.command(f"codexctl {words}")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)

    def remove_slot(self, issue: int, made: World) -> None:
        """Remove the slot of an Issue, if it has one."""
        self.run_step(f"cleanup --issue {issue} --repo {REPO}", made)

    def choices(self) -> list[str]:
        """Return what the shop's services.yaml is told beside where its images are."""
        names = ("SHOP_AGENT_IMAGE", "SHOP_MODEL_URL")
        return [f"export {name}={shlex.quote(self.environment[name])}" for name in names]

    def show_text(self, text: str) -> None:
        """Show what people see of a text on GitHub: without the line by which it is found again."""
        for line in text.splitlines()[1:]:
            self.narrator.output(line)

    def say_what_next(self, seconds: float) -> None:
        """Leave the reader with commands to type."""
        tell = self.narrator
        tell.title(f"That was all: {STEPS} steps in {seconds:.0f} s. The slot is removed again.")
        tell.suggestion("the change", shlex.join(self.diff_words()))
        tell.suggestion("what the run left", f"ls {FOLDER / 'result'}")
        tell.suggestion("each event", f"less {FOLDER / 'result' / 'events.jsonl'}")
        tell.suggestion("your own project", "docs/ai-run.md, from the beginning")
        tell.suggestion("stop the sandbox", f"cd {ROOT}; python3 -m sandbox down")

    @staticmethod
    def diff_words() -> list[str]:
        """Return a command that shows what was pushed."""
        repository = str(FOLDER / "forge" / f"{REPO}.git")
        return ["git", "--no-pager", "-C", repository, "diff", "main", BRANCH]

    def run_step(
        self, words: str, made: World, *, has_cluster: bool = True, **variables: str
    ) -> Finished:
        """Run a step of the workflow with what its job has; it must succeed."""
        self.shell.environment = {**self.environment, **variables}
        if not has_cluster:
            del self.shell.environment["KUBECONFIG"]
        self.narrator.command(f"codexctl {words}")
        done = self.shell.run([str(self.codexctl), *words.split()], made.checkout)
        if done.exit_code:
            what = f"`codexctl {words}` ended with exit code {done.exit_code}"
            raise DemoError(f"{what}: read its output above")
        return done

    def run(self, words: list[str], made: World) -> None:
        """Show another command and what it prints."""
        self.narrator.command(shlex.join(words))
        self.shell.run(words, made.checkout)

    @contextmanager
    def cleaned(self, cluster: Cluster, made: World) -> Iterator[None]:
        """Remove the slot and what else was made, whatever happens meanwhile."""
        fresh = [name for name in NAMESPACES if not cluster.has_namespace(name)]
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):  # it must not be left half done
                signal.signal(number, signal.SIG_IGN)
            self.narrator.title("The Issue is closed, and the slot is removed.")
            with suppress(DemoError):  # what happened before counts more; its output says why
                for issue in made.issues:
                    self.remove_slot(issue, made)
                for name in fresh:
                    cluster.delete_namespace(name)


def _prepare(narrator: Narrator) -> AgentDemo:
    return AgentDemo(
        narrator=narrator,
        shell=Shell(narrator),
        codexctl=find_codexctl(),
        sandbox=os.environ.get("SANDBOX") != "off",
    )


if __name__ == "__main__":
    sys.exit(perform(STEPS, _prepare))
