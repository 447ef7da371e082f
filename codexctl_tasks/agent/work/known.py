"""Files that decide what runs later, with more rights than an agent has: patterns with a rule."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rule(StrEnum):
    """What becomes of a change; a word that is none of these blocks."""

    ALLOW = "allow"
    REVIEW = "review"
    """Published, and named in the pull request as what somebody has to look at."""
    BLOCK = "block"


AUTOMATION = (
    *(".github/", "action.y*ml", ".gitlab-ci.yml", ".gitlab/", ".gitea/", ".forgejo/"),
    *(".circleci/", "Jenkinsfile*", "azure-pipelines*.y*ml", ".azure-pipelines/", ".travis.yml"),
    *(".drone.yml", ".drone.star", ".buildkite/", "bitbucket-pipelines.yml", ".woodpecker/"),
    *(".woodpecker.y*ml", "cloudbuild.y*ml", "buildspec*.y*ml", ".cirrus.y*ml", ".cirrus.star"),
    *(".appveyor.yml", "appveyor.yml", "codemagic.yaml", ".semaphore/", "netlify.toml"),
    *("vercel.json", "renovate.json*", ".renovaterc*"),
)
STEERING = (
    *(".codex/", ".agents/", ".claude/", ".cursor/", ".mcp.json", ".gemini/", ".cursorrules"),
    *(".windsurfrules", ".clinerules", ".aider*"),
)
INSTRUCTIONS = ("AGENTS*.md", "CLAUDE*.md", "GEMINI.md", ".github/copilot-instructions.md")
LOCAL = (
    *(".husky/", ".githooks/", ".pre-commit-config.yaml", "lefthook.y*ml", ".lefthook.y*ml"),
    *(".lefthook/", ".lintstagedrc*", ".vscode/", ".devcontainer/", ".envrc"),
)
DEPLOYMENT = (
    "services.yaml",
    "Dockerfile*",
    "*.Dockerfile",
    "docker-compose*.y*ml",
    "compose.y*ml",
)
DEPENDENCIES = (
    *("package.json", "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"),
    *("bun.lock", "bun.lockb", ".npmrc", ".yarnrc*", "pyproject.toml", "setup.py", "setup.cfg"),
    *("requirements*.txt", "requirements*.in", "constraints*.txt", "Pipfile*", "poetry.lock"),
    *("uv.lock", "pip.conf", "go.mod", "go.sum", "Cargo.toml", "Cargo.lock", "build.rs"),
    *("Gemfile*", "*.gemspec", "composer.json", "composer.lock", "pom.xml", "build.gradle*"),
    *("settings.gradle*", "gradle-wrapper.*", "*.csproj", "packages.lock.json", "mix.exs"),
    *("mix.lock", "Package.swift", "Package.resolved"),
)
_KNOWN = (
    (Rule.BLOCK, "automation", AUTOMATION),
    (Rule.BLOCK, "owners", ("CODEOWNERS",)),
    (Rule.BLOCK, "submodules", (".gitmodules",)),
    (Rule.BLOCK, "settings of agents", STEERING),
    (Rule.REVIEW, "what agents are told", INSTRUCTIONS),
    (Rule.REVIEW, "how git shows files", (".gitattributes",)),
    (Rule.REVIEW, "runs on machines of developers", LOCAL),
    (Rule.REVIEW, "deployment", DEPLOYMENT),
    (Rule.REVIEW, "dependencies", DEPENDENCIES),
)
DEFAULTS: Mapping[str, Rule] = {
    pattern: rule for rule, _, patterns in _KNOWN for pattern in patterns
}
"""By pattern; of several that match the strictest counts."""
TOPICS = {pattern: topic for _, topic, patterns in _KNOWN for pattern in patterns}
"""What a pattern is about, those that weigh most first."""
