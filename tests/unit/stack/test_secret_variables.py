"""The secret of further variables: what callers put together of secrets nobody has looked at."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codexctl_tasks.errors import CodexctlError, ConfigurationError
from codexctl_tasks.stack.secret_variables import read_secret_variables

WHERE = "secret CODEXCTL_ENV_FILE"
BEHIND = "A has text behind its closing quote"
MASK_ME = "hunter2"


def _problems(text: str) -> list[str]:
    with pytest.raises(CodexctlError) as caught:
        read_secret_variables(text)
    assert {problem.exit_code for problem in caught.value.problems} == {3}
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    "value", ["it's", "ends in \\", 'a"B=other', "a' B=other", "$HOME # x", "two\nlines", "ü☃"]
)
def test_json_takes_every_value(value: str) -> None:
    """As `toJSON` writes it, whatever is in it, and with any blanks around."""
    for ascii_only in (True, False):
        text = f'\ufeff\n{{"A": {json.dumps(value, ensure_ascii=ascii_only)},\n "B": "1"}}\n'
        assert read_secret_variables(text) == {"A": value, "B": "1"}


def test_lines_as_in_an_env_file() -> None:
    """Comments, quotes around anything but quotes, several lines; nothing at all is no variable."""
    text = "# ours\nA='b\\c\\' # why\nexport B=\"x\ny\"\nC=d#e\n"
    assert read_secret_variables(text) == {"A": "b\\c\\", "B": "x\ny", "C": "d#e"}
    assert read_secret_variables(" \n") == read_secret_variables("{}") == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A='hunter2's'\nB='x'", f"{WHERE}:1: {BEHIND}: write it as JSON"),
        ("\nA='hunter2\\''\nB='x'", f"{WHERE}:1: {BEHIND}: write it as JSON"),
        ("A='a'B=hunter2", f"{WHERE}:1: {BEHIND}: write it as JSON"),
        ("A='a' B=hunter2", f"{WHERE}:1: {BEHIND}: write it as JSON"),
        ("A='a'#hunter2'", f"{WHERE}:1: {BEHIND}: write it as JSON"),
        ("A='hunter2", f"{WHERE}:1: A opens a quote that is never closed: write it as JSON"),
        ("A=1\nhunter2", f"{WHERE}:2: is no KEY=VALUE: write it as JSON"),
        ('{"A": "1", "B": "hunter2"s"}', f'{WHERE}: is no JSON at B: write it as JSON: {{"B": $'),
        ('{"A": hunter2}', f"{WHERE}: is no JSON at A: write it as JSON"),
        ("{hunter2}", f"{WHERE}: is no JSON: write it as JSON"),
        ('{"A": "hunter2\n"}', f"{WHERE}: is no JSON at A: write it as JSON"),
        ('{"A": "1"} hunter2', f"{WHERE}: is no JSON at A: write it as JSON"),
        ('{"A": ' + "[" * 100_000, f"{WHERE}: holds more than texts"),
        ('{"A": 4711}', f"{WHERE}: A is no text: write it as JSON"),
        ('{"A": {"B": "hunter2"}}', f"{WHERE}: A is no text: write it as JSON"),
        ('{"A": "hunter2\\u0000"}', f"{WHERE}: A is no text"),
        ('{"A": "hunter2\\ud800"}', f"{WHERE}: A is no text"),
        ('{"A": "1", "A": "hunter2"}', f"{WHERE}: A stands in it 2 times: keep one"),
        ("A=1\nA=hunter2", f"{WHERE}: A stands in it 2 times: keep one"),
        ('{"hunter2=": "1"}', f"{WHERE}: has a name that no variable can have: use letters"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, problem: str) -> None:
    """One line with the name of the variable, and never its value."""
    [found] = _problems(text)
    assert found.startswith(problem)
    assert MASK_ME not in found
    assert "\n" not in found


@pytest.mark.parametrize("text", ["A=''\nB='x'\nC=\n", '{"A": "", "B": "x", "C": null}'])
def test_a_secret_that_does_not_exist_is_no_empty_password(text: str) -> None:
    """GitHub makes an empty text of it; each is named, and what to do about it."""
    assert _problems(text) == [
        f"{WHERE}: {name} is empty, as a secret that does not exist is: give the repository that "
        f"secret, one of a GitHub environment does not come here, or leave {name} out"
        for name in ("A", "C")
    ]


@example("a\\'")
@example("\n#'\\")
@given(st.text("ab'\"\\$=# \t", min_size=1).filter(str.strip))
def test_no_password_becomes_another_one_in_lines(password: str) -> None:
    """Between single quotes a password arrives as it is, or the secret is refused."""
    with suppress(ConfigurationError):
        found = read_secret_variables(f"A='{password}'\nB='{password}'\n")
        assert found == {"A": password, "B": password}
    if "'" not in password:
        assert read_secret_variables(f"A='{password}'") == {"A": password}
