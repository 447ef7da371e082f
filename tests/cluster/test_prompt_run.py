"""``prompt-run`` with the real Codex CLI in a real pod, and a model that does as it is told."""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.agent_image import push_agent_image
from tests.support.agents import ISSUE, REPO, AgentSlot
from tests.support.github_server import github_server
from tests.support.model_server import (
    Conversation,
    cuts,
    fails,
    hangs,
    model_server,
    refuses,
    runs,
    says,
)
from tests.support.output_schema import check
from tests.support.proxy import Proxy
from tests.support.shell import run_kubectl, run_program_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.cluster

PATIENCE_S = 240.0
"""For what takes seconds: other tests run at the same time."""
GONE_S = 60.0
"""What is promised: so long after a cancellation nothing of the agent is left."""
MOST_CUTS = 12
COMMIT = (
    "echo new > new.txt && git add new.txt && "
    "git -c user.name=Agent -c user.email=agent@example.com commit -qm 'Add new.txt'"
)


@pytest.fixture(scope="module")
def ready_slot(
    cluster_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AgentSlot]:
    """Give a slot that is ready, with an agent."""
    name = f"agent-{os.getpid()}"
    image = push_agent_image(cluster_environment["SANDBOX_REGISTRY"])
    folder = tmp_path_factory.mktemp("agent") / "shop"
    folder.mkdir()
    with model_server(cluster_environment["SANDBOX_HOST"]) as model:
        slot = AgentSlot(name, folder, image, model, cluster_environment)
        slot.write()
        slot.commit()
        slot.make_ready()
        yield slot
    for namespace in (slot.namespace, name, f"{name}-codexctl-model"):
        run_kubectl(
            cluster_environment,
            "delete",
            "namespace",
            namespace,
            "--ignore-not-found",
            "--wait=false",
        )


@pytest.fixture
def slot(ready_slot: AgentSlot) -> Iterator[AgentSlot]:
    """Give the slot with a model that answers, and end what a test has started."""
    ready_slot.model.play(says("Done."))
    yield ready_slot
    for process in ready_slot.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    ready_slot.started.clear()


def wait_until(holds: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for something that has to happen."""
    end_s = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end_s, f"never: {what}"
        time.sleep(0.2)


def test_a_commit_leaves_the_pod_and_the_result_says_all(slot: AgentSlot, tmp_path: Path) -> None:
    """The agent's commit and what it did not commit are in a bundle against the base."""
    slot.model.play(
        runs(COMMIT, "I add a file."), runs("echo x > more.txt"), says("It is *there*.")
    )
    outputs = tmp_path / "outputs"
    done = slot.ask("--output", "json", prompt="Add $(a) file.\n" * 3, GITHUB_OUTPUT=str(outputs))
    assert done.returncode == 0, done.stderr
    result = slot.result
    assert (result["status"], result["final_message"]) == ("success", "It is *there*.")
    assert (result["slot"], result["issue"], result["namespace"]) == (1, 12, slot.namespace)
    assert result["usage"] == {"input": 300, "cached_input": 30, "output": 60, "reasoning": 15}
    told = json.loads(done.stdout)
    check(told, "prompt-run")
    assert (told["threadId"], told["base"]) == (result["thread_id"], result["base"])
    assert "I add a file." in done.stderr
    assert "success" in outputs.read_text().split("status<<")[1].splitlines()[1]
    assert any("Add $(a) file." in asked.text for asked in slot.model.asked)
    clone = tmp_path / "clone"
    run_program_in(tmp_path, "git", "clone", "-q", str(slot.folder), str(clone))
    bundle = str(slot.result_folder / "work.bundle")
    run_program_in(clone, "git", "fetch", "-q", bundle, "codexctl/work:work")
    log = run_program_in(clone, "git", "log", "--format=%s", "main..work").decode().splitlines()
    assert log == ["Work of the agent on #12", "Add new.txt"]
    assert run_program_in(clone, "git", "show", "work:more.txt") == b"x\n"
    assert (slot.result_folder / "last-message.md").read_text() == "It is *there*.\n"
    lines = (slot.result_folder / "events.jsonl").read_text().splitlines()
    kinds = [json.loads(line)["type"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("thread.started", "turn.completed")
    slot.sh(f"cd /workspace/{slot.name} && git reset -q --hard {result['base']} && git clean -qfd")


def test_a_thread_goes_on_and_its_usage_is_counted_once(slot: AgentSlot) -> None:
    """Continuing a thread gives the model what was said before; only new tokens are counted."""
    slot.model.play(says("The word is apple."))
    assert slot.ask("--kind", "plan", prompt="Say a word.").returncode == 0
    first = slot.result
    slot.model.play(says("It was apple."))
    done = slot.ask("--kind", "plan", "--resume", first["thread_id"], prompt="Which one was it?")
    assert done.returncode == 0, done.stderr
    assert slot.result["thread_id"] == first["thread_id"]
    assert slot.result["usage"]["input"] == 100
    assert "The word is apple." in slot.model.asked[0].text
    shown = slot.ask("--kind", "plan", "--resume", "last", "--dry-run").stdout
    assert f"resume {first['thread_id']} -" in shown
    slot.model.play(says("Still apple."))
    assert slot.ask("--kind", "plan", "--resume", "last", prompt="And now?").returncode == 0
    assert slot.result["thread_id"] == first["thread_id"]
    assert "It was apple." in slot.model.asked[0].text


def test_a_run_that_failed_goes_on_where_it_stopped(slot: AgentSlot) -> None:
    """Its thread is known to the next run, although its first turn never came to an end."""
    slot.model.play(runs("echo apple"), refuses(400, "Bad request", "invalid_request_error"))
    assert slot.ask("--kind", "plan", prompt="Say a word.").returncode == 1
    first = slot.result
    assert first["thread_id"]
    slot.model.play(says("It was apple."))
    done = slot.ask("--kind", "plan", "--resume", "last", prompt="Which one was it?")
    assert done.returncode == 0, done.stderr
    assert slot.result["thread_id"] == first["thread_id"]
    assert "Say a word." in slot.model.asked[0].text


def test_a_thread_that_is_gone_begins_anew(slot: AgentSlot) -> None:
    """An unknown thread is no reason to give up: the whole prompt is there."""
    unknown = "01a21a94-5307-7641-8fce-094e3b3be7b1"
    done = slot.ask("--kind", "plan", "--resume", unknown)
    assert done.returncode == 0, done.stderr
    assert "is not known there: a new one begins" in done.stderr
    assert slot.result["thread_id"] not in ("", unknown)


def test_what_an_earlier_run_left_is_no_base(slot: AgentSlot, tmp_path: Path) -> None:
    """Commits that nobody has looked at belong to the work; the base is our checkout's commit."""
    ours = run_program_in(slot.folder, "git", "rev-parse", "HEAD").decode().strip()
    place = f"/workspace/{slot.name}"
    slot.sh(f"cd {place} && {COMMIT}")
    try:
        done = slot.ask()
        assert done.returncode == 0, done.stderr
        assert (slot.result["status"], slot.result["base"]) == ("success", ours)
        assert "commits since" in done.stderr
        bundle = str(slot.result_folder / "work.bundle")
        run_program_in(tmp_path, "git", "clone", "-q", str(slot.folder), "clone")
        run_program_in(tmp_path / "clone", "git", "fetch", "-q", bundle, "codexctl/work:work")
        log = run_program_in(tmp_path / "clone", "git", "log", "--format=%s", "main..work")
        assert log == b"Add new.txt\n"
        slot.sh(f"cd {place} && git checkout -q --orphan other && {COMMIT.replace('new', 'other')}")
        done = slot.ask()
        assert done.returncode == 3
        assert "did not grow out of our" in slot.result["reason"]
        assert slot.result["status"] == "infra-failed"
    finally:
        slot.sh(f"cd {place} && git checkout -qf -B main {ours} && git clean -qfd")


def test_nothing_changed(slot: AgentSlot) -> None:
    """An agent that is content and has changed nothing is no success to publish."""
    done = slot.ask()
    assert done.returncode == 0, done.stderr
    assert slot.result["status"] == "no-changes"
    assert not (slot.result_folder / "work.bundle").exists()


@pytest.mark.parametrize(
    ("step", "reason", "requests"),
    [
        (refuses(400, "Bad request", "invalid_request_error"), "Bad request", 0),
        (refuses(429, "You exceeded your quota", "insufficient_quota"), "Quota exceeded", 0),
        (says(""), "it said nothing at the end", 1),
    ],
    ids=["400", "quota", "empty"],
)
def test_what_will_not_pass_is_not_repeated(
    slot: AgentSlot, step: object, reason: str, requests: int
) -> None:
    """The run fails with the model's own words, after one attempt."""
    slot.model.play(step)  # type: ignore[arg-type]
    done = slot.ask("--kind", "plan")
    assert done.returncode == 1
    assert slot.result["status"] == "agent-failed"
    assert reason in slot.result["reason"]
    assert slot.result["attempts"] == 1
    assert not requests or len(slot.model.asked) == requests


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused(slot: AgentSlot, status: int) -> None:
    """It is not the agent's fault: the result says so, and what to do."""
    slot.model.play(refuses(status, "Incorrect API key provided", "invalid_api_key"))
    done = slot.ask("--kind", "plan")
    assert done.returncode == 1
    assert (slot.result["status"], slot.result["attempts"]) == ("infra-failed", 1)
    reason = "the model has refused the key: see CODEXCTL_MODEL_TOKEN: "
    assert slot.result["reason"].startswith(reason)
    assert str(status) in slot.result["reason"]


@pytest.mark.parametrize(
    "step",
    [
        refuses(429, "Rate limit reached", "rate_limit_exceeded"),
        refuses(500, "boom"),
        cuts(),
        fails("server_error", "the model exploded"),
    ],
    ids=["429", "500", "cut", "failed"],
)
def test_what_may_pass_is_tried_again_on_the_same_thread(slot: AgentSlot, step: object) -> None:
    """A model that was away for a minute costs no work: the thread goes on."""
    slot.write(
        configBlocks=[
            {"toml": "[model_providers.codexctl]\nrequest_max_retries = 0\nstream_max_retries = 0"}
        ]
    )
    slot.model.play(step, says("Done."))  # type: ignore[arg-type]
    done = slot.ask("--kind", "plan")
    slot.write()
    assert done.returncode == 0, done.stderr
    assert slot.result["attempts"] == 2
    assert "attempt 2 of 4 in 5 s" in done.stderr


def test_an_answer_must_meet_its_schema(slot: AgentSlot, tmp_path: Path) -> None:
    """Codex is content with any answer; we are not."""
    schema = tmp_path / "schema.json"
    schema.write_text(
        '{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"],'
        ' "additionalProperties": false}'
    )
    slot.model.play(says('{"ok": "yes"}'))
    done = slot.ask("--kind", "review", "--output-schema", str(schema))
    assert done.returncode == 1
    assert slot.result["reason"] == "its answer violates the schema: $.ok is no boolean"
    slot.model.play(says('{"ok": true}'))
    assert slot.ask("--kind", "review", "--output-schema", str(schema)).returncode == 0


def test_a_model_that_hangs_meets_the_deadline(slot: AgentSlot) -> None:
    """Time runs out in the pod, and nothing of the agent is left there."""
    slot.model.play(hangs())
    done = slot.ask("--kind", "plan", "--timeout", "5s")
    assert done.returncode == 70
    assert slot.result["status"] == "timeout"
    wait_until(lambda: not slot.processes(), f"nothing runs: {slot.processes()}")


def test_what_the_agent_left_behind_is_ended(slot: AgentSlot) -> None:
    """A server in its own session without the agent's environment does not outlive the run."""
    hidden = "env -i setsid sh -c 'trap \"\" TERM HUP; sleep 4321; sleep 4322' >/dev/null 2>&1 &"
    slot.model.play(runs(f"({hidden}) ; setsid sleep 4323 & sleep 0.5"), says("Started."))
    other = subprocess.Popen(
        [
            *(slot.environment.get("SANDBOX_KUBECTL", "kubectl"), "-n", slot.namespace, "exec"),
            *("deployment/codex", "--", "sh", "-c", "sleep 5555"),
        ],
        env={**os.environ, **slot.environment},
    )
    try:
        wait_until(lambda: "sleep 5555" in slot.processes(), "somebody else's session")
        assert slot.ask("--kind", "plan").returncode == 0
        assert not [line for line in slot.processes() if "432" in line]
        assert "sleep 5555" in slot.processes(), "somebody else's session was ended"
    finally:
        other.kill()
        other.wait()
        is_it = "tr '\\0' ' ' < $p/cmdline | grep -q '^sleep 5555'"
        slot.sh(f"for p in /proc/[0-9]*; do {is_it} && kill ${{p#/proc/}}; done; true")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_run_ends_in_the_pod(slot: AgentSlot, number: signal.Signals) -> None:
    """Whoever cancels a workflow stops the agent, and the result says so."""
    slot.model.play(runs("setsid sleep 4444 & sleep 4445"))
    process = slot.start("--kind", "plan")
    wait_until(lambda: "sleep 4444" in slot.processes(), "the agent works")
    heard = slot.result_folder / "events.jsonl"
    wait_until(lambda: "thread.started" in heard.read_text(), "the client knows the thread")
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 128 + number
    assert slot.result["status"] == "cancelled"
    assert slot.result["thread_id"]
    wait_until(lambda: not slot.processes(), "nothing runs", GONE_S)


def test_the_work_of_a_cancelled_run_is_kept(slot: AgentSlot, tmp_path: Path) -> None:
    """A commit and a file that the agent had made by then are in the bundle, as after a timeout."""
    slot.model.play(runs(f"{COMMIT} && echo x > more.txt && sleep 4445"))
    process = slot.start()
    wait_until(lambda: "sleep 4445" in slot.processes(), "the agent works")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_S)
    place = f"/workspace/{slot.name}"
    slot.sh(f"cd {place} && git reset -q --hard {slot.result['base']} && git clean -qfd")
    assert process.returncode == 130
    assert slot.result["status"] == "cancelled"
    clone, bundle = tmp_path / "clone", str(slot.result_folder / "work.bundle")
    run_program_in(tmp_path, "git", "clone", "-q", str(slot.folder), str(clone))
    run_program_in(clone, "git", "fetch", "-q", bundle, "codexctl/work:work")
    log = run_program_in(clone, "git", "log", "--format=%s", "main..work").decode().splitlines()
    assert log == ["Work of the agent on #12", "Add new.txt"], told
    slot.model.play(runs("sleep 4446"))
    process = slot.start()
    wait_until(lambda: "sleep 4446" in slot.processes(), "the agent works again")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert not (slot.result_folder / "work.bundle").exists(), "that of an earlier run"


def test_a_client_that_died_leaves_a_run_that_the_next_one_finds(slot: AgentSlot) -> None:
    """A second run does not start beside the first; with --force it takes its place."""
    slot.model.play(runs("sleep 4444"), hangs())
    first = slot.start("--kind", "plan")
    wait_until(lambda: "sleep 4444" in slot.processes(), "the agent works")
    first.kill()
    second = slot.ask("--kind", "plan")
    assert second.returncode == 70
    assert "of an agent goes on in pod" in second.stderr
    assert slot.result["status"] == "slot-timeout"
    slot.model.play(says("Mine."))
    third = slot.ask("--kind", "plan", "--force")
    assert third.returncode == 0, third.stderr
    assert slot.result["final_message"] == "Mine."
    assert "sleep 4444" not in slot.processes()


def test_an_agent_without_its_client_is_ended_before_the_slot_is_made_ready(
    slot: AgentSlot,
) -> None:
    """Its workspace is not changed under its hands, and the next run is not refused for it."""
    slot.model.play(runs("sleep 4444"), hangs())
    first = slot.start("--kind", "plan")
    wait_until(lambda: "sleep 4444" in slot.processes(), "the agent works")
    first.kill()
    done = slot.codexctl("ensure-ready", "--slot", "1")
    assert done.returncode == 0, done.stderr
    ended, synced = done.stderr.index(": cancelling it"), done.stderr.index("sync  ")
    assert ended < synced
    assert "sleep 4444" not in slot.processes()
    slot.model.play(says("Mine."))
    assert slot.ask("--kind", "plan").returncode == 0


def test_a_folder_that_cannot_be_written(slot: AgentSlot, tmp_path: Path) -> None:
    """It is told before anything is started."""
    prompt = tmp_path / "prompt.md"
    prompt.write_text("Do it.")
    words = ("--issue", str(ISSUE), "--kind", "plan", "--prompt-file", str(prompt))
    where = ("--result-dir", str(prompt / "result"), "--model-url", slot.model.url)
    done = slot.codexctl("prompt-run", *words, *where)
    assert done.returncode == 3
    assert "the result cannot be written: Not a directory: make room" in done.stderr
    assert slot.model.asked == []


def test_a_folder_that_is_not_in_the_pod(slot: AgentSlot) -> None:
    """Sources that were never synced, or a mistyped path, are told as what they are."""
    done = slot.ask("--kind", "plan", "--path", "nope")
    assert done.returncode == 3, done.stderr
    what = "/workspace/nope: does not exist in the pod: run codexctl ensure-ready, or see --path"
    assert what in done.stderr
    assert slot.result["status"] == "infra-failed"
    assert what in slot.result["reason"]


def test_a_disk_that_is_full_leaves_no_agent_alone(slot: AgentSlot) -> None:
    """What cannot be written any more ends the run, in the pod, too; and the result says so."""
    slot.model.play(runs("sleep 4444"), hangs())
    record = slot.result_folder / "events.jsonl"
    slot.result_folder.mkdir(exist_ok=True)
    record.unlink(missing_ok=True)
    record.symlink_to("/dev/full")
    try:
        done = slot.ask("--kind", "plan")
    finally:
        record.unlink()
    assert done.returncode == 3, done.stderr
    assert slot.result["status"] == "infra-failed"
    assert "the result cannot be written: No space left on device" in slot.result["reason"]
    assert f"cancelled: run {slot.result['run']} has ended" in done.stderr
    wait_until(lambda: not slot.processes(), "nothing is left in the pod", GONE_S)


def test_a_run_leaves_no_dead_processes(slot: AgentSlot) -> None:
    """A pod that lives as long as its slot does not fill up with them, run by run."""
    slot.model.play(runs("setsid sleep 1 & echo begun"), says("Done."))
    assert slot.ask("--kind", "plan").returncode == 0
    wait_until(lambda: not slot.dead(), f"all are taken off the table: {slot.dead()}", GONE_S)


def test_an_agent_that_kills_its_launcher_is_ended(slot: AgentSlot) -> None:
    """It can write that all has gone well, but nothing of it works on."""
    kills = (
        'cd "$CODEXCTL_RUN_FOLDER"; setsid sleep 4444 & read -r launcher rest < pid; '
        "kill -9 $launcher; echo '0 ended' > rc; sleep 4445"
    )
    slot.write(agent={"command": ["sh", "-c", f'echo x > "$CODEXCTL_LAST_MESSAGE"; {kills}']})
    done = slot.ask("--kind", "plan")
    slot.write()
    assert done.returncode == 0, done.stderr
    wait_until(lambda: not slot.processes(), "nothing is left in the pod", GONE_S)


def test_a_stream_that_is_cut_changes_nothing(slot: AgentSlot, tmp_path: Path) -> None:
    """However often the connection to the cluster breaks: one run, and its whole result."""
    slot.model.play(runs("sleep 4", "First."), runs("sleep 4", "Second."), says("Third."))
    with Proxy(slot.environment["KUBECONFIG"]) as proxy:
        config = str(proxy.kubeconfig(tmp_path / "cut.conf"))
        process = slot.start("--kind", "plan", "--kubeconfig", config)
        for _ in range(MOST_CUTS):
            time.sleep(1.5)
            proxy.cut()
        _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told
    assert (slot.result["final_message"], slot.result["attempts"]) == ("Third.", 1)
    for message in ("First.", "Second."):
        assert told.count(f"agent    {message}") == 1
    assert len(slot.model.asked) == 3


def test_two_clients_start_one_agent(slot: AgentSlot) -> None:
    """Two jobs of the same run of a workflow, which share the slot, do not share its agent."""
    refused = threading.Event()

    def answer_later(answer: Conversation) -> None:
        refused.wait(PATIENCE_S)
        says("Done.")(answer)

    slot.model.play(answer_later)
    pair = [slot.start("--kind", "plan") for _ in range(2)]
    wait_until(lambda: any(process.poll() is not None for process in pair), "one is refused")
    refused.set()
    told = [process.communicate(timeout=PATIENCE_S)[1] for process in pair]
    assert sorted(process.returncode for process in pair) == [0, 70], told
    assert len(slot.model.asked) == 1


def test_a_megabyte_of_prompt_arrives(slot: AgentSlot) -> None:
    """The size of an Issue with its comments is no matter."""
    hostile = "ä$(x)`y`\n{{ z }}\nEOF\n"
    prompt = hostile * (2**20 // len(hostile) - 1) + "the end"
    done = slot.ask("--kind", "plan", prompt=prompt)
    assert done.returncode == 0, done.stderr
    assert prompt in json.dumps(slot.model.asked[0].body, ensure_ascii=False).replace("\\n", "\n")
    done = slot.ask("--kind", "plan", prompt=prompt + hostile)
    assert done.returncode == 3
    assert "and Codex takes 1048576" in done.stderr


@pytest.mark.parametrize("model", ["", "gpt-5.5"], ids=["Codex's own", "another"])
def test_what_the_models_of_codex_ask_passes_the_proxy(slot: AgentSlot, model: str) -> None:
    """Each has its tools elsewhere in a request; its own one runs commands by a further program."""
    slot.write(model=model, proxy={"image": slot.image, "upstream": slot.model.url})
    slot.model.play(runs("echo from the pod > by-model.txt"), says("It is there."))
    done = slot.ask(CODEXCTL_MODEL_KEY="sk-of-a-test", by_url=False)
    slot.write()
    assert done.returncode == 0, done.stderr
    assert (slot.result["status"], slot.result["model"]) == ("success", model)
    place = f"/workspace/{slot.name}/by-model.txt"
    assert slot.sh(f"cat {place}; rm {place}") == "from the pod\n"
    assert "warning" not in done.stderr


def test_a_configuration_that_codex_refuses(slot: AgentSlot) -> None:
    """The reason names line and keys to mend; what Codex said is kept, and goes with its run."""
    slot.write(configBlocks=[{"toml": "unknown_key = 1"}])
    done = slot.ask("--kind", "plan")
    slot.write()
    assert done.returncode == 1, done.stderr
    assert slot.result["status"] == "agent-failed"
    assert slot.result["reason"] == (
        "exit code 1: Codex refuses its configuration: unknown configuration field `unknown_key`, "
        "at unknown_key = 1: mend codex.configTemplate or codex.configBlocks"
    )
    said = slot.result_folder / "stderr.log"
    assert "Error loading config.toml" in said.read_text()
    assert slot.ask("--kind", "plan").returncode == 0
    assert "Error loading config.toml" not in (said.read_text() if said.exists() else "")


def test_another_version_of_the_agent_is_refused(slot: AgentSlot) -> None:
    """Flags and events differ from version to version: an image with another one is told of."""
    slot.write(agent={"version": "0.1.0"})
    done = slot.ask("--kind", "plan")
    slot.write()
    assert done.returncode == 3
    assert "holds Codex 0.169.0, not Codex 0.1.0" in done.stderr
    assert slot.result["status"] == "infra-failed"


def test_another_program_can_be_the_agent(slot: AgentSlot) -> None:
    """A command that reads the prompt and leaves a message is an agent, too."""
    script = 'cat > answer.txt; echo working; echo "I wrote it." > "$CODEXCTL_LAST_MESSAGE"'
    slot.write(agent={"command": ["sh", "-c", script]})
    done = slot.ask(prompt="Write me.")
    slot.write()
    assert done.returncode == 0, done.stderr
    assert (slot.result["status"], slot.result["final_message"]) == ("success", "I wrote it.")
    assert (
        slot.sh(f"cat /workspace/{slot.name}/answer.txt; rm -f /workspace/*/answer.txt")
        == "Write me."
    )


def test_planted_servers_and_instructions_do_nothing(slot: AgentSlot) -> None:
    """What lies in the workspace, perhaps from a stranger's branch, neither runs nor instructs."""
    place = f"/workspace/{slot.name}"
    hook = '{"hooks": [{"type": "command", "command": "touch /tmp/planted"}]}'
    planted = {
        ".codex/config.toml": '[mcp_servers.x]\ncommand = "touch"\nargs = ["/tmp/planted"]\n',
        ".codex/hooks.json": f'{{"hooks": {{"SessionStart": [{hook}]}}}}',
        ".agents/skills/x/SKILL.md": "---\nname: x\ndescription: PLANTED-WORDS\n---\nPLANTED-WORDS",
        ".git/hooks/post-commit": "#!/bin/sh\ntouch /tmp/planted\n",
        "AGENTS.md": "PLANTED-WORDS",
        "../.codexctl/agent/AGENTS.md": "PLANTED-WORDS",
    }
    files = [f"printf %s {shlex.quote(text)} > {name}" for name, text in planted.items()]
    more = ["chmod +x .git/hooks/post-commit", "git config core.fsmonitor 'touch /tmp/planted'"]
    slot.sh(
        " && ".join(
            [
                f"cd {place}",
                "mkdir -p .codex .agents/skills/x .git/hooks ../.codexctl/agent",
                *files,
                *more,
            ]
        )
    )
    try:
        done = slot.ask(prompt="Use $x.")
        assert done.returncode == 0, done.stderr
        assert slot.result["status"] == "success", "what was planted is a change, too"
        assert slot.sh("ls /tmp/planted 2>/dev/null || echo none").strip() == "none"
        assert "PLANTED-WORDS" not in slot.model.asked[0].text
    finally:
        slot.sh(
            f"cd {place} && rm -rf .codex .agents AGENTS.md .git/hooks/post-commit && "
            "git config --unset core.fsmonitor"
        )


def test_the_token_of_the_model_is_written_nowhere(slot: AgentSlot) -> None:
    """The agent's program has it; command lines, files, its shells, logs and results have not."""
    token = "tok-sentinel-of-this-run"
    look = (
        "tr '\\0' ' ' < /proc/$PPID/cmdline; env; cat /proc/[0-9]*/cmdline | tr '\\0' ' ';"
        " find /workspace /tmp -type f -exec grep -l tok-sentinel {} + 2>/dev/null; echo loo'ked'"
    )
    slot.model.play(runs(look, f"Is it {token}?"), says(f"It is {token}."))
    done = slot.ask("--kind", "plan", CODEXCTL_MODEL_TOKEN=token)
    assert done.returncode == 0, done.stderr
    assert slot.model.asked[0].headers["Authorization"] == f"Bearer {token}"
    output = next(
        item["output"]
        for item in slot.model.asked[1].body["input"]
        if item.get("type") == "function_call_output"
    )
    assert "looked" in output
    assert token not in output
    assert slot.result["final_message"] == "It is ***."
    told = [done.stdout, done.stderr.replace(f"::add-mask::{token}", "")]
    told += [file.read_text() for file in slot.result_folder.iterdir() if file.suffix != ".bundle"]
    assert not [text for text in told if token in text]


def test_the_key_of_the_model_stays_in_the_proxy(slot: AgentSlot) -> None:
    """The model sees the key; the agent, its pod, its slot, its work and what is told do not."""
    key = "sk-SENTINEL-of-the-model"
    slot.write(proxy={"image": slot.image, "upstream": slot.model.url})
    # Plain files alone: whoever opens a pipe waits for somebody who writes to it.
    places = "/workspace /tmp /etc /run /var"
    search = f"find {places} -type f -exec grep -l SENTINE[L] {{}} + 2>/dev/null"
    look = (
        "env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ';"
        f" {search}; echo w > work.txt; echo loo'ked'"
    )
    found = {}

    def see_the_slot(answer: Conversation) -> None:
        kinds = "pods,secrets,configmaps,events"
        found["slot"] = slot.kubectl("get", kinds, "-o", "json")
        runs(look)(answer)

    slot.model.play(see_the_slot, says("Done."))
    done = slot.ask(CODEXCTL_MODEL_KEY=key, by_url=False)
    slot.write()
    assert done.returncode == 0, done.stderr
    assert {asked.headers["Authorization"] for asked in slot.model.asked} == {f"Bearer {key}"}
    assert "looked" in slot.model.asked[1].text
    found["agent"] = slot.model.asked[1].text
    found["log"] = done.stdout + done.stderr.replace(f"::add-mask::{key}", "")
    found["volume"] = slot.sh(f"{search}; rm -f /workspace/*/work.txt")
    for file in slot.result_folder.iterdir():
        found[file.name] = file.read_text("latin-1")
    assert {"slot", "work.bundle", "result.json", "events.jsonl"} <= set(found)
    encoded = base64.b64encode(key.encode()).decode()
    leaks = [name for name, text in found.items() if "SENTINEL" in text or encoded in text]
    assert not leaks
    everywhere = ("get", "pods", "-A", "-o", "name")
    wait_until(
        lambda: "pod/model-" not in run_kubectl(slot.environment, *everywhere),
        "the proxy goes with its run",
    )


def test_a_key_that_the_proxy_saw_refused(slot: AgentSlot) -> None:
    """The proxy hides the model's own words; what to mend is told all the same."""
    slot.write(proxy={"image": slot.image, "upstream": slot.model.url})
    slot.model.play(refuses(401, "Incorrect API key provided: sk-SENTI***L", "invalid_api_key"))
    done = slot.ask("--kind", "plan", CODEXCTL_MODEL_KEY="sk-SENTINEL", by_url=False)
    slot.write()
    assert done.returncode == 1, done.stderr
    assert (slot.result["status"], slot.result["attempts"]) == ("infra-failed", 1)
    reason = "the model has refused the key: give a valid one as OPENAI_API_KEY"
    assert slot.result["reason"].startswith(reason)


def test_dry_run_shows_prompt_and_command(slot: AgentSlot) -> None:
    """What would be asked and run is shown, and nothing is started."""
    done = slot.ask("--dry-run", "--effort", "high", prompt="Look at it.")
    assert done.returncode == 0, done.stderr
    assert "Look at it." in done.stdout
    assert "codex exec --json --strict-config --skip-git-repo-check" in done.stdout
    assert f"-C /workspace/{slot.name} -s danger-full-access" in done.stdout
    assert 'model_reasoning_effort="high"' in done.stdout
    assert slot.model.asked == []
    check(json.loads(slot.ask("--dry-run", "--output", "json").stdout), "prompt-run-shown")


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (
            ("--path", "nope"),
            "/workspace/nope: does not exist in the pod: run codexctl ensure-ready",
        ),
        (("--folder", "/"), "/: has no commit that git can tell"),
    ],
    ids=["no folder", "no commit"],
)
def test_a_dry_run_refuses_what_a_run_would(
    slot: AgentSlot, flags: tuple[str, ...], what: str
) -> None:
    """Whoever tries it first learns what is missing, and not from the first agent."""
    done = slot.ask("--dry-run", *flags)
    assert (done.returncode, done.stdout) == (3, "")
    assert what in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_dry_run_without_a_way_to_the_model_says_so(slot: AgentSlot) -> None:
    """There is neither an address nor an image for the proxy."""
    done = slot.ask("--dry-run", by_url=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "codex.proxy.image: is not given" in done.stderr


@pytest.fixture
def broken(slot: AgentSlot) -> Iterator[str]:
    """Break the environment: something in it does not start, and says why."""
    script = "echo no such table: cheese; exit 3"
    image = f"{slot.environment['SANDBOX_REGISTRY']}/base:1"
    made = ("create", "deployment", "page", "--image", image, "--", "sh", "-c", script)
    slot.kubectl(*made)
    path = "{.items[*].status.containerStatuses[*].restartCount}"
    query = ("get", "pods", "-l", "app=page", "-o", f"jsonpath={path}")
    wait_until(lambda: slot.kubectl(*query).strip() not in ("", "0"), "it has crashed twice")
    yield "no such table: cheese"
    slot.kubectl("delete", "deployment", "page")


def test_who_repairs_is_told_what_is_wrong(slot: AgentSlot, broken: str) -> None:
    """The workload, its state and the last lines of its log; other kinds only hear their task."""
    with github_server() as github:
        github.repository = github.facts.repository = REPO
        github.facts.add_issue(ISSUE, title="The page is gone", body="Since noon.")
        env = {"GITHUB_API_URL": github.url, "GITHUB_TOKEN": "secret-token"}
        words = ("prompt-run", "--issue", str(ISSUE), "--dry-run", "--model-url", slot.model.url)
        repair = slot.codexctl(*words, "--kind", "repair", **env)
        develop = slot.codexctl(*words, **env)
    assert (repair.returncode, develop.returncode) == (0, 0), repair.stderr + develop.stderr
    told = repair.stdout
    assert "The page is gone" in told
    _, _, found = told.partition("The environment is not healthy. What was found:")
    assert found.split()[0].startswith("<untrusted-")
    assert "Deployment" in found
    assert "exit code 3" in found
    assert broken in found
    assert broken not in develop.stdout


def test_a_pod_that_is_deleted_is_no_failure_of_the_agent(slot: AgentSlot) -> None:
    """The result names what has become of the pod."""
    slot.model.play(runs("sleep 4444"))
    process = slot.start("--kind", "plan")
    wait_until(lambda: "sleep 4444" in slot.processes(), "the agent works")
    slot.kubectl("delete", "pod", "-l", "app=codex", "--wait=false")
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, told
    assert slot.result["status"] == "infra-failed"
    assert "pod" in slot.result["reason"]
    slot.kubectl("rollout", "status", "deployment/codex")
    slot.model.play(says("Again."))
    assert slot.ask("--kind", "plan").returncode == 0
