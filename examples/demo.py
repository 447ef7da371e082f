"""
The demo: a whole shop is deployed, updated, broken and rolled back, in a real Kubernetes.

Run it with ``make demo``. It starts the sandbox of this repository (see ``python3 -m sandbox``)
and needs nothing else. Environment variables:

- ``SANDBOX=off``: use the cluster of ``KUBECONFIG`` and the registry ``SANDBOX_REGISTRY``
  (default ``localhost:5001``) instead; nothing is deleted there.
- ``DEMO_NAMESPACE``: where the shop is deployed (default ``shop-staging``). In the sandbox, what
  an earlier run left there is deleted first.
- ``NO_COLOR``: no colours.

Exit codes: 0 all went as told, 1 a step did not, 2 something is missing, 130 interrupted.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from dataclasses import dataclass

from demo_stage import Stage, perform
from demo_tools import (
    ROOT,
    Cluster,
    DemoError,
    Finished,
    Narrator,
    Shell,
    check_registry,
    find_codexctl,
)

STEPS = 8
SHOP = ROOT / "examples" / "shop"
BROKEN = ROOT / "examples" / "broken"
TYPO = "2.1-typo"
CAUSES = (
    "image not found",
    "Secret payment-provider is missing",
    "crash loop, exit code 3",
    "cannot connect to smtp:25",
)
"""What the report of the broken services must say."""
PINS = "pins.json"


@dataclass(kw_only=True)
class Demo(Stage):
    """The story, told and played step by step."""

    namespace: str

    def play(self) -> None:
        """Play all steps; raise `DemoError` at the first that does not go as told."""
        began = time.monotonic()
        self.start_cluster()
        cluster = Cluster(self.shell.environment)
        check_registry(self.registry)
        self.make_images()
        self.deploy_first_version(cluster)
        self.show_page(cluster)
        self.deploy_second_version(cluster)
        self.deploy_broken_version(cluster)
        self.roll_back(cluster)
        self.deploy_broken_services(cluster)
        self.say_what_next(cluster, time.monotonic() - began)

    def make_images(self) -> None:
        """Step 2: what the pods will run."""
        tell = self.narrator
        tell.step("Mirror and build the shop's images")
        tell.say(
            "The shop is in examples/shop: a web page, an API, Redis, and a migration "
            "that fills Redis. Redis and Python come from elsewhere: they are mirrored into the "
            "shop's registry. The rest is built from Dockerfiles."
        )
        self.push_bases()
        for line in self.preparations():
            tell.command(line)
        (SHOP / PINS).unlink(missing_ok=True)
        self._images("")
        tell.say("The same again: nothing has changed, and nothing is built.")
        done = self._images("")
        if "built" in done.output:
            raise DemoError("the second run built something: read its output above")
        tell.success(f"5 images are in the registry; looking at them took {done.seconds:.1f} s")

    def _images(self, version: str) -> Finished:
        """Run codexctl images; an empty version of the web is the default one."""
        line = f"codexctl images --env staging --pin {PINS}"
        if version:
            line += f" --vars WEB_VERSION={version}"
        self.narrator.command(line)
        done = self.shell.run([str(self.codexctl), *shlex.split(line)[1:]], SHOP)
        if done.exit_code:
            raise DemoError(f"`{line}` ended with exit code {done.exit_code}: see its table above")
        return done

    def deploy_first_version(self, cluster: Cluster) -> None:
        """Step 3: everything, from nothing."""
        tell = self.narrator
        tell.step("Deploy the shop")
        if cluster.has_namespace(self.namespace):
            self._clear(cluster)
        tell.say(
            "One command renders services.yaml and its manifests, applies them in three "
            "waves (Redis; the migration; API and web), and waits until each is healthy."
        )
        tell.say(f"{PINS} has the digest of each image: exactly these run.")
        done = self.deploy("")
        if done.exit_code:
            raise self._unhealthy(done)
        tell.success(f"the whole shop is healthy after {done.seconds:.0f} s")

    def show_page(self, cluster: Cluster) -> None:
        """Step 4: the shop does what a shop does."""
        self.narrator.step("Visit the shop")
        self.narrator.say(
            "The page, fetched through the Service `web`. The web has asked the API for "
            "the products, and the API Redis, where the migration has put them:"
        )
        self.expect_page(cluster, "1.0")
        self.narrator.success("web 1.0 answers, with the products from Redis")

    def deploy_second_version(self, cluster: Cluster) -> None:
        """Step 5: a change, as it happens every day."""
        self.narrator.step("Change one thing: web 2.0")
        self.narrator.say(
            "The image first. Of the five only that of the web depends on this version."
        )
        self._images("2.0")
        self.narrator.say(
            "The same command with another version. What has not changed is left alone; "
            "web 2.0 takes over pod by pod."
        )
        done = self.deploy("2.0")
        if done.exit_code:
            raise self._unhealthy(done)
        self.narrator.say("The page now; Redis has kept the count of visits:")
        self.expect_page(cluster, "2.0")
        self.narrator.success(f"web 2.0 answers; the deploy took {done.seconds:.0f} s")

    def deploy_broken_version(self, cluster: Cluster) -> None:
        """Step 6: the promise: seconds, not minutes, and the cause."""
        tell = self.narrator
        tell.step("Break it: a version that does not exist")
        tell.say(
            f"Somebody mistypes the version. No image has the tag {TYPO}, so the new pod "
            "can never start. `kubectl rollout status` would wait 10 minutes and then "
            "not say why. codexctl names the cause at once, waits for the node's second "
            "try (the image may have been pushed late), and gives up:"
        )
        done = self.deploy(TYPO)
        if done.exit_code != 1 or "image not found" not in done.output:
            raise DemoError(
                f"the broken deploy ended with exit code {done.exit_code}, and should have "
                "with 1 and the cause `image not found`: read its output above"
            )
        tell.success(
            f"exit code 1 after {done.seconds:.0f} s, with the cause: image not found. "
            "A CI job ends here, red, and its last lines say why."
        )
        tell.say("Meanwhile the visitors have noticed nothing. The page now:")
        self.expect_page(cluster, "2.0")
        tell.success("web 2.0 still answers: codexctl left its pods running")

    def roll_back(self, cluster: Cluster) -> None:
        """Step 7: the way back is a deploy like any other."""
        self.narrator.step("Roll back")
        self.narrator.say(
            "Rolling back is deploying the version before. Its pods are still there, so "
            "only the broken one has to go."
        )
        done = self.deploy("2.0")
        if done.exit_code:
            raise self._unhealthy(done)
        self.narrator.say("The page now:")
        self.expect_page(cluster, "2.0")
        self.narrator.success(f"healthy again after {done.seconds:.0f} s")

    def deploy_broken_services(self, cluster: Cluster) -> None:
        """Step 8: one run explains all that is wrong, each in its own way."""
        tell = self.narrator
        tell.step("Three mistakes at once")
        tell.say(
            "examples/broken has three services: the image of one was never pushed, another "
            "misses a Secret, the third crashes two seconds after each start and has no probe, "
            "so that Kubernetes calls it ready again and again. One deploy explains all three:"
        )
        namespace = f"{self.namespace}-broken"
        is_ours = not cluster.has_namespace(namespace)
        tell.command("cd ../broken")
        line = f"codexctl apply-wait --env demo --namespace {namespace}"
        tell.command(line)
        done = self.shell.run([str(self.codexctl), *shlex.split(line)[1:]], BROKEN)
        missing = [cause for cause in CAUSES if cause not in done.output]
        if done.exit_code != 1 or missing:
            raise DemoError(
                f"the deploy ended with exit code {done.exit_code} and did not say "
                f"{' nor '.join(missing) or 'that it failed'}: read its output above"
            )
        tell.success(f"three causes after {done.seconds:.0f} s, the log of the crash included")
        if is_ours:
            cluster.delete_namespace(namespace)

    def say_what_next(self, cluster: Cluster, seconds: float) -> None:
        """Leave the reader with commands to type."""
        tell = self.narrator
        tell.title(f"That was all: 8 steps in {seconds:.0f} s. The shop still runs. Try next:")
        for line in self.preparations():
            tell.command(line)
        tell.plain("")
        option = self._namespace_option()
        if self.sandbox:
            address = cluster.service_address(self.namespace, "web")
            tell.suggestion("the page", f"curl http://{address}/")
            tell.suggestion("the pods", f"$SANDBOX_KUBECTL get pods -n {self.namespace}")
        tell.suggestion("what is applied", f"codexctl render --env staging{option}")
        tell.suggestion("back to web 1.0", f"codexctl apply-wait --env staging{option}")
        issue = "--issue 7 --repo team/shop"
        tell.suggestion("take a slot", f"codexctl ensure-slot {issue}")
        tell.suggestion("make it ready", f"codexctl ensure-ready {issue}")
        tell.suggestion("all slots", "codexctl slots")
        tell.suggestion("remove the slot", f"codexctl cleanup {issue}")
        tell.suggestion("remove the shop", f"codexctl destroy --env staging{option}")
        if self.sandbox:
            tell.suggestion("stop the sandbox", f"cd {ROOT}; python3 -m sandbox down")

    def deploy(self, web_version: str) -> Finished:
        """Run codexctl and show its command line; an empty version is the default one."""
        line = f"codexctl apply-wait --env staging --pins {PINS}{self._namespace_option()}"
        if web_version:
            line += f" --vars WEB_VERSION={web_version}"
        self.narrator.command(line)
        return self.shell.run([str(self.codexctl), *shlex.split(line)[1:]], SHOP)

    def expect_page(self, cluster: Cluster, version: str) -> None:
        """Show the page; it must be that of the given version of the web, with products."""
        lines = cluster.page(self.namespace, f"web {version}, api 1.0")
        for line in lines:
            self.narrator.output(line)
        if not any(f"web {version}, api 1.0" in line for line in lines):
            raise DemoError(
                f"the page is not that of web {version}: look at the pods, "
                f"kubectl get pods -n {self.namespace}"
            )

    def _clear(self, cluster: Cluster) -> None:
        if not self.sandbox:
            self.narrator.say(
                f"The namespace {self.namespace} exists already. Nothing is deleted in "
                "your own cluster: the shop is deployed over what is there."
            )
            return
        self.narrator.say("An earlier demo left its shop here; it is deleted first, data included.")
        cluster.delete_namespace(self.namespace)

    def preparations(self) -> list[str]:
        """Return what a person types once, before codexctl."""
        return [*super().preparations(), "cd examples/shop"]

    def _namespace_option(self) -> str:
        return f" --namespace {self.namespace}" if os.environ.get("DEMO_NAMESPACE") else ""

    @staticmethod
    def _unhealthy(done: Finished) -> DemoError:
        return DemoError(
            f"the deploy ended with exit code {done.exit_code}: its report above names the cause"
        )


def _prepare(narrator: Narrator) -> Demo:
    return Demo(
        narrator=narrator,
        shell=Shell(narrator),
        codexctl=find_codexctl(),
        sandbox=os.environ.get("SANDBOX") != "off",
        namespace=os.environ.get("DEMO_NAMESPACE") or "shop-staging",
    )


if __name__ == "__main__":
    sys.exit(perform(STEPS, _prepare))
