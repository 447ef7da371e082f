"""What of an agent's work may be published: rules by pattern, limits, what is never published."""

from __future__ import annotations

import pytest

from codexctl_tasks.agent.work.known import DEFAULTS, Rule
from codexctl_tasks.agent.work.policy import (
    MOST_REVIEW,
    MOST_TOLD,
    Change,
    Policy,
    judge,
    judge_branch,
    rule_of,
    unknown_words,
)


def change(path: str, mode: int = 0o100644, **more: object) -> Change:
    """Return a new file."""
    fields = {"path": path.encode(), "old_mode": 0, "new_mode": mode, **more}
    return Change(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("src/app.py", Rule.ALLOW),
        (".github/workflows/ci.yml", Rule.BLOCK),
        (".GitHub/dependabot.yml", Rule.BLOCK),
        (".github/copilot-instructions.md", Rule.BLOCK),
        ("docs/.github/x", Rule.BLOCK),
        ("CODEOWNERS", Rule.BLOCK),
        ("docs/codeowners", Rule.BLOCK),
        (".gitmodules", Rule.BLOCK),
        (".codex/config.toml", Rule.BLOCK),
        ("web/.mcp.json", Rule.BLOCK),
        (".Travis.yml", Rule.BLOCK),
        ("tools/Action.yaml", Rule.BLOCK),
        ("Jenkinsfile.nightly", Rule.BLOCK),
        ("deploy/azure-pipelines-nightly.yaml", Rule.BLOCK),
        (".azure-pipelines/steps/build.yml", Rule.BLOCK),
        (".gitlab/ci/build.yml", Rule.BLOCK),
        (".forgejo/workflows/x.yml", Rule.BLOCK),
        (".gitea/workflows/x.yml", Rule.BLOCK),
        (".buildkite/pipeline.yml", Rule.BLOCK),
        (".woodpecker.yaml", Rule.BLOCK),
        (".drone.star", Rule.BLOCK),
        ("buildspec-prod.yml", Rule.BLOCK),
        ("cloudbuild.yaml", Rule.BLOCK),
        ("renovate.json5", Rule.BLOCK),
        (".RenovateRC.json", Rule.BLOCK),
        ("web/netlify.toml", Rule.BLOCK),
        (".gemini/settings.json", Rule.BLOCK),
        (".CursorRules", Rule.BLOCK),
        (".clinerules/one.md", Rule.BLOCK),
        (".aider.conf.yml", Rule.BLOCK),
        ("lefthook.yml", Rule.REVIEW),
        (".lefthook/pre-push/x.sh", Rule.REVIEW),
        ("web/.lintstagedrc.mjs", Rule.REVIEW),
        ("src/reaction.yml", Rule.ALLOW),
        ("Makefile", Rule.ALLOW),
        ("AGENTS.md", Rule.REVIEW),
        ("web/agents.override.md", Rule.REVIEW),
        ("CLAUDE.local.md", Rule.REVIEW),
        (".gitattributes", Rule.REVIEW),
        ("services.yaml", Rule.REVIEW),
        ("web/Dockerfile.dev", Rule.REVIEW),
        ("web/package-lock.json", Rule.REVIEW),
        ("requirements-dev.txt", Rule.REVIEW),
        ("PACKAGE.JSON", Rule.REVIEW),
        ("package.json.", Rule.REVIEW),
        ("package.json::$DATA", Rule.REVIEW),
        (".vscode/tasks.json", Rule.REVIEW),
        (".gitignore", Rule.ALLOW),
        ("notes/package.json.md", Rule.ALLOW),
        ("github/readme", Rule.ALLOW),
    ],
)
def test_what_is_known_of_files(path: str, rule: Rule) -> None:
    """What decides on later runs is blocked or shown, in any case of letters and at any depth."""
    assert rule_of(path, {})[0] is rule


@pytest.mark.parametrize(
    ("rules", "path", "rule"),
    [
        ({"package.json": "allow"}, "package.json", Rule.ALLOW),
        ({"package.json": "allow"}, "web/package.json", Rule.ALLOW),
        ({"/package.json": "allow"}, "web/package.json", Rule.REVIEW),
        ({"/package.json": "allow"}, "package.json", Rule.ALLOW),
        ({"docs/": "block"}, "docs/a/b", Rule.BLOCK),
        ({"docs/*.md": "block"}, "docs/a.md", Rule.BLOCK),
        ({"docs/*.md": "block"}, "docs/a/b.md", Rule.ALLOW),
        ({"docs/**/*.md": "block"}, "docs/a/b.md", Rule.BLOCK),
        ({"docs/**/*.md": "block"}, "docs/b.md", Rule.BLOCK),
        ({"**": "block", "src/": "allow"}, "src/a", Rule.ALLOW),
        ({"src/": "allow", "**": "block"}, "src/a", Rule.BLOCK),
        ({".github/workflows/": "review"}, ".github/workflows/x.yml", Rule.REVIEW),
        ({"a?c": " Review "}, "abc", Rule.REVIEW),
        ({"a.c": "block"}, "abc", Rule.ALLOW),
        ({"src/": "yes"}, "src/a", Rule.BLOCK),
        ({"src/": ""}, "src/a", Rule.BLOCK),
    ],
)
def test_what_a_stack_says(rules: dict[str, str], path: str, rule: Rule) -> None:
    """The last pattern that matches counts, over what is known; an unknown word blocks."""
    assert rule_of(path, rules)[0] is rule


def test_unknown_words_are_told() -> None:
    """So that a misspelt rule is noticed."""
    assert list(unknown_words({"a": "allow", "b": "permit", "c": "BLOCK"})) == ["b"]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (change("x", 0o120000), "x: it is a symbolic link"),
        (change("x", 0o160000), "x: submodules are not changed by agents"),
        (change("x", 0, old_mode=0o160000), "x: submodules are not changed by agents"),
        (change("x", 0o100666), "x: its mode is 100666"),
        (change(".git/config"), ".git/config: git keeps its own files there"),
        (change("a/.GiT/x"), "a/.GiT/x: git keeps its own files there"),
        (change("GIT~1/x"), "GIT~1/x: git keeps its own files there"),
        (change("gi7eba~1"), "gi7eba~1: git keeps its own files there"),
        (change(".git /x"), ".git /x: git keeps its own files there"),
        (change(".git:x"), ".git:x: git keeps its own files there"),
        (change(".GitModules"), ".GitModules: some systems read its name as .gitmodules"),
        (change(".ｇit/x"), ".ｇit/x: git keeps its own files there"),  # noqa: RUF001
        (change("../x"), "../x: its path leads elsewhere"),
        (change("a//x"), "a//x: its path leads elsewhere"),
        (change("a\\..\\x"), "a\\..\\x: its name holds a backslash"),
        (change(".g\u200cit"), ".g\\u{200c}it: its name holds characters that nobody sees"),
        (change("txt\u202ecod.sh"), "txt\\u{202e}cod.sh: its name holds characters"),
        (change("a\nb"), "a\\u{a}b: its name holds characters that nobody sees"),
        (change("x" * 256), ": its name is too long"),
        (change("x/" * 600 + "x"), ": its path is too long"),
    ],
)
def test_what_is_never_published(given: Change, why: str) -> None:
    """Whatever the stack says: links, submodules, odd modes, names that mean something else."""
    [said] = judge([given], Policy(rules={"**": "allow"})).blocked
    assert why in said


def test_names_that_are_no_text() -> None:
    """They are refused, not guessed; also when such a file goes."""
    for mode in (0o100644, 0):
        odd = Change(path=b"caf\xe9", old_mode=0o100644, new_mode=mode)
        [said] = judge([odd], Policy()).blocked
        assert said == "caf\\xe9: its name is not UTF-8"


def test_a_link_may_go() -> None:
    """Whoever removes one makes nothing worse."""
    gone = Change(path=b"link", old_mode=0o120000, new_mode=0)
    assert judge([gone], Policy()).blocked == ()


def test_limits() -> None:
    """Files, each of them, all of them; what only passed by counts by its own size."""
    policy = Policy(most_files=2, most_file_bytes=10, most_bytes=15)
    small = [change(name, size=5) for name in "ab"]
    assert judge(small, policy).blocked == ()
    assert judge([*small, change("c")], policy).blocked == ("3 files were changed, more than 2",)
    assert judge([change("a", size=11)], policy).blocked == ("a: 11 bytes, more than 10",)
    [total] = judge([change("a", size=9), change("b", size=9)], policy).blocked
    assert total == "the changed files have 18 bytes, more than 15"
    passing = change("c", size=12, is_final=False)
    assert judge([*small, passing], policy).blocked == ("c: 12 bytes, more than 10",)


def test_what_a_reader_is_told() -> None:
    """Files to look at, binary ones, programs; those that were programs before are no news."""
    told = judge(
        [
            change("go.mod"),
            change("logo.png", is_binary=True, size=1234),
            change("run.sh", 0o100755),
            change("old.sh", 0o100755, old_mode=0o100755),
        ],
        Policy(),
    )
    assert told.review == ("go.mod: dependencies",)
    assert told.notes == ("logo.png: binary, 1,234 bytes", "run.sh: can be run as a program")


def test_what_weighs_most_is_named_first() -> None:
    """What the stack itself names, what agents are told, deployment, dependencies."""
    names = ["a/package.json", "b/go.mod", "migrations/1.sql", "services.yaml", "AGENTS.md"]
    told = judge([change(name) for name in names], Policy(rules={"migrations/": "review"}))
    assert told.review == (
        "migrations/1.sql: migrations/",
        "AGENTS.md: what agents are told",
        "services.yaml: deployment",
        "a/package.json: dependencies",
        "b/go.mod: dependencies",
    )


def test_more_than_anybody_would_look_at() -> None:
    """It is blocked: a protected file would be lost among so many."""
    many = [change(f"{n}/package.json") for n in range(MOST_REVIEW + 1)]
    assert judge(many[1:], Policy()).blocked == ()
    [why] = judge(many, Policy()).blocked
    assert why == "201 files would have to be looked at, more than 200"


def test_what_was_on_the_branch_before() -> None:
    """It is named first, and blocks nothing; limits hold for branches of agents alone."""
    found = [change("go.mod"), change(".github/x.yml"), change("link", 0o120000)]
    told = judge_branch(found, Policy(most_files=3), is_agents=True)
    assert told.blocked == ()
    assert told.review == (
        ".github/x.yml: the policy blocks .github/ (on the branch before)",
        "link: it is a symbolic link (on the branch before)",
        "go.mod: dependencies",
    )
    few = Policy(most_files=2)
    assert judge_branch(found, few, is_agents=True).blocked == (
        "3 files were changed, more than 2",
    )
    assert judge_branch(found, few, is_agents=False).blocked == ()


def test_each_reason_once() -> None:
    """A file that changed in many commits is named once."""
    many = [change("CODEOWNERS"), change("CODEOWNERS", size=1, is_final=False)]
    assert judge(many, Policy()).blocked == ("CODEOWNERS: the policy blocks CODEOWNERS",)
    assert MOST_TOLD
    assert Rule.ALLOW not in DEFAULTS.values()
