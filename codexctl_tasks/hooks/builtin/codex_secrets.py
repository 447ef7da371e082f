"""``codex.ensure-codex-secrets``: the credentials that an agent works with."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from codexctl_tasks.errors import ConfigurationError
from codexctl_tasks.hooks.builtin.secret_store import SecretStore
from codexctl_tasks.hooks.contract import HookContext, Parameters, Text, hook

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Keys = dict[str, tuple[str, ...]]
"""For each key of a Secret the variables that may hold its value; the first that is set counts."""

DEFAULTS: Mapping[str, Keys] = {
    "openai-secret": {"OPENAI_API_KEY": ("OPENAI_API_KEY",)},
    "github-secret": {"CODEXCTL_GH_PAT": ("CODEXCTL_GH_PAT", "CODEX_GH_PAT")},
    "context7-secret": {"CONTEXT7_API_KEY": ("CONTEXT7_API_KEY",)},
}
LARGEST = 2**20
"""Bytes that the values of one Secret may have together, by Kubernetes' own rule."""

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_KEY = re.compile(r"(?!\.\.)(?!\.\Z)[-._a-zA-Z0-9]{1,253}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _check_namespace(value: str) -> str:
    if not value or re.fullmatch(_LABEL, value):
        return value
    raise ValueError("no name of a namespace")


def _read_secrets(given: Any) -> dict[str, Keys]:
    # A value that somebody writes in place of a variable's name must not get into a message: so
    # no single field is validated, and no message shows what stands there.
    if not isinstance(given, dict):
        raise _mistake("it is no mapping of names to keys")
    return {str(name): _read_secret(str(name), keys) for name, keys in given.items()}


def _read_secret(name: str, given: Any) -> Keys:
    if not _NAME.fullmatch(name):
        raise _mistake(f"{name!r} cannot be the name of a Secret")
    if not given:
        return {}
    if not isinstance(given, dict):
        raise _mistake(f"{name} is no mapping of keys to variables")
    return {str(key): _read_variables(name, str(key), value) for key, value in given.items()}


def _read_variables(name: str, key: str, given: Any) -> tuple[str, ...]:
    if not _KEY.fullmatch(key):
        raise _mistake(f"{name} has {key!r}, which cannot be a key: letters, digits, -, _ and .")
    variables = tuple(given) if isinstance(given, list | tuple) else (given,)
    for each in variables:
        if not isinstance(each, str) or not _VARIABLE.fullmatch(each):
            raise _mistake(f"{name}.{key} is not the name of a variable; never write a value here")
    if not variables:
        raise _mistake(f"{name}.{key} names no variable")
    return variables


def _mistake(reason: str) -> PydanticCustomError:
    return PydanticCustomError("secrets", "{reason}", {"reason": reason})


class CodexSecrets(Parameters):
    """``with`` of ``codex.ensure-codex-secrets``."""

    model_config = ConfigDict(hide_input_in_errors=True)

    namespace: Annotated[Text, AfterValidator(_check_namespace)] = ""
    """Where the Secrets are. Without it: the namespace of the environment."""
    secrets: Annotated[dict[str, Keys], BeforeValidator(_read_secrets)] = Field(default={})
    """Further Secrets, or other keys for the three usual ones: for each name its keys, for each key
    the variable that holds the value, or a list of variables of which the first that is set counts.
    An entry replaces the usual one of that name; one without keys switches it off."""


@hook(
    "codex.ensure-codex-secrets",
    CodexSecrets,
    example="""
        - name: agent-secrets
          use: codex.ensure-codex-secrets
          with:
            secrets:
              context7-secret:              # switched off
              openai-secret:
                OPENAI_API_KEY: [TEAM_OPENAI_API_KEY, OPENAI_API_KEY]
              mail-secret:
                USER: MAIL_USER
                PASSWORD: MAIL_PASSWORD
    """,
    replaces="""
        ensure_secret() {
          if [ -z "$3" ]; then
            echo "warning: $2 is not set: no secret $1" >&2
            return
          fi
          kubectl -n "{{ .Namespace }}" create secret generic "$1" \\
            --from-literal="$2=$3" --dry-run=client -o yaml | kubectl apply -f -
        }
        ensure_secret openai-secret OPENAI_API_KEY "${OPENAI_API_KEY:-}"
        ensure_secret github-secret CODEXCTL_GH_PAT "${CODEXCTL_GH_PAT:-${CODEX_GH_PAT:-}}"
        ensure_secret context7-secret CONTEXT7_API_KEY "${CONTEXT7_API_KEY:-}"
    """,
)
def ensure_codex_secrets(given: CodexSecrets, context: HookContext) -> None:
    """
    Write the credentials of an agent into Secrets of its namespace.

    | Secret | key | variable |
    |---|---|---|
    | `openai-secret` | `OPENAI_API_KEY` | `OPENAI_API_KEY` |
    | `github-secret` | `CODEXCTL_GH_PAT` | `CODEXCTL_GH_PAT`, else `CODEX_GH_PAT` |
    | `context7-secret` | `CONTEXT7_API_KEY` | `CONTEXT7_API_KEY` |

    They are for agents that people start in their pods. The pod of a slot needs none of them:
    `prompt-run` keeps the key of the model with a proxy, and an agent can read what its pod holds.

    The variables are those that templates know: the process environment, env files, `--var-file`
    and `--vars`. A Secret is written when one of its variables is set; a key whose variable is not
    set stays as it is in the cluster. A warning names the variables that are missing. What already
    has the right values is not written again, and keys that others have added are kept. A Secret
    that was made by another tool is taken over.

    A value arrives as it is, byte by byte, whatever is in it. It stands in no command line, no log
    and no message, not even in an error of the server. All Secrets are tried as a dry run before
    the first of them is written.
    """
    namespace = given.namespace or context.namespace
    if not namespace:
        what = "the namespace is unknown: there is neither namespace nor --env"
        raise ConfigurationError(context.hook, what, "give one of them")
    declared = {**DEFAULTS, **given.secrets}
    variables = {name for keys in declared.values() for names in keys.values() for name in names}
    context.hide(context.variables.get(name, "") for name in variables)
    secrets = [_fill(name, keys, context) for name, keys in declared.items()]
    if missing := [line for secret in secrets for line in secret.missing]:
        context.warn(f"not set: {'; '.join(missing)}")
    filled = [secret for secret in secrets if secret.data]
    if not filled:
        return
    store = SecretStore(context.connect(), namespace)
    updates = [store.compare(secret.name, secret.data, set(secret.unset)) for secret in filled]
    for update in updates:
        store.rehearse(update)
    for update in updates:
        context.tell(store.write(update))


@dataclass(frozen=True, slots=True)
class _Filled:
    """A Secret with the values that are known."""

    name: str
    data: Mapping[str, bytes] = field(repr=False)
    unset: Keys
    """Keys without a value."""

    @property
    def missing(self) -> Iterator[str]:
        """Yield what to say of each key without a value."""
        for names in self.unset.values():
            yield f"{' or '.join(names)} (for {self.name})"


def _fill(name: str, keys: Keys, context: HookContext) -> _Filled:
    data: dict[str, bytes] = {}
    for key, names in keys.items():
        if used := next((each for each in names if context.variables.get(each)), ""):
            data[key] = _encoded(used, context)
    if (size := sum(map(len, data.values()))) > LARGEST:
        what = f"Secret {name} would hold {size} bytes; Kubernetes takes at most {LARGEST}"
        raise ConfigurationError(context.hook, what, "shorten its values, or use several Secrets")
    context.hide(b64encode(value).decode() for value in data.values())
    return _Filled(name, data, {key: names for key, names in keys.items() if key not in data})


def _encoded(variable: str, context: HookContext) -> bytes:
    """Return the bytes that a value has in the environment or in a file."""
    try:
        return os.fsencode(context.variables[variable])
    except UnicodeEncodeError:  # which holds the value: it must not be chained
        what = f"the value of {variable} is neither text nor bytes"
    raise ConfigurationError(context.hook, what, "write it anew")
