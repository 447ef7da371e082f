"""What `codexctl plan` prints for one object."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codexctl_tasks.apply.difference import Line, Sign, difference

WEB: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "app",
                        "image": "reg.example/web:1",
                        "args": ["--port=80", "--verbose"],
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}],
                    }
                ]
            }
        },
    },
}


def _printed(before: Any, after: Any) -> list[str]:
    return [str(line) for line in difference(before, after)]


def _of_value(before: Any, after: Any) -> list[str]:
    """Return what is printed when a field ``x`` becomes another value."""
    return _printed({"x": before}, {"x": after})


def _of_text(before: str, after: str) -> list[str]:
    """Return what is printed below the path when a text changes."""
    return _of_value(before, after)[1:]


def test_a_release_is_a_line_for_each_field_that_changes() -> None:
    """What changes is read at a glance: the path with names instead of numbers, old and new."""
    after = copy.deepcopy(WEB)
    [app] = after["spec"]["template"]["spec"]["containers"]
    app["image"] = "reg.example/web:2"
    app["args"] = ["--port=81", "--verbose", "--trace"]
    app["env"].append({"name": "MODE", "value": "fast"})
    after["spec"]["replicas"] = 3
    after["metadata"]["labels"] = {"tier": "1"}

    assert _printed(WEB, after) == [
        "- metadata.labels.app: web",
        '+ metadata.labels.tier: "1"',
        "~ spec.replicas: 2 → 3",
        "~ spec.template.spec.containers[app].image: reg.example/web:1 → reg.example/web:2",
        "~ spec.template.spec.containers[app].args[0]: --port=80 → --port=81",
        "+ spec.template.spec.containers[app].args[2]: --trace",
        "+ spec.template.spec.containers[app].env[MODE]: {name: MODE, value: fast}",
    ]


def test_nothing_is_printed_for_what_stays_or_goes() -> None:
    """An object that stays as it is, and one whose deletion the headline tells, have no lines."""
    assert difference(WEB, WEB) == []
    assert difference(WEB, None) == []
    assert difference(None, None) == []


def test_an_object_that_is_new_is_printed_whole() -> None:
    """A creation reads like the manifest, in its order."""
    [container] = WEB["spec"]["template"]["spec"]["containers"]
    new = {**WEB, "spec": {"containers": [container, {"name": "b", "args": ["a\nb\n"], "e": {}}]}}

    assert _printed(None, new) == [
        "+ apiVersion: apps/v1",
        "+ kind: Deployment",
        "+ metadata:",
        "+   name: web",
        "+   labels:",
        "+     app: web",
        "+ spec:",
        "+   containers:",
        "+   - name: app",
        "+     image: reg.example/web:1",
        "+     args:",
        "+     - --port=80",
        "+     - --verbose",
        "+     env:",
        "+     - name: A",
        '+       value: "1"',
        "+     - name: B",
        "+       value: $(A)",
        "+   - name: b",
        "+     args:",
        "+     - |",
        "+         a",
        "+         b",
        "+     e: {}",
    ]


def test_what_the_server_writes_is_no_difference() -> None:
    """Versions, managers and status change all the time and say nothing about the manifest."""
    noise = {"resourceVersion": "1", "uid": "u", "generation": 1, "selfLink": "/x"}
    annotations = {"deployment.kubernetes.io/revision": "7"}
    live = {
        **WEB,
        "metadata": {
            **WEB["metadata"],
            **noise,
            "creationTimestamp": None,
            "managedFields": [{}],
            "annotations": annotations,
        },
        "status": {"replicas": 2},
    }

    assert difference(live, WEB) == []
    assert difference(WEB, live) == []
    assert _printed(None, live) == _printed(None, WEB)


def test_what_kubectl_applied_last_is_not_repeated() -> None:
    """The annotation holds the whole object once more: only that it goes is news."""

    def live(*applied: str) -> dict[str, Any]:
        annotations = dict.fromkeys(["kubectl.kubernetes.io/last-applied-configuration"], applied)
        return {"metadata": {"annotations": {"a": "b", **(annotations if applied else {})}}}

    assert difference(live("one"), live("two")) == []
    assert _printed(live("one"), live()) == [
        '- metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]: …'
    ]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (1, "1", ['~ x: 1 → "1"']),
        (True, "true", ['~ x: true → "true"']),
        (1, True, ["~ x: 1 → true"]),
        (None, "null", ['~ x: null → "null"']),
        ("a", "a ", ['~ x: a → "a "']),
        ("a\n", "a", ['~ x: "a\\n" → a']),
        ("a\tb", "a b", ['~ x: "a\\tb" → a b']),
        ("\\x1b", "\x1b", ['~ x: "\\\\x1b" → "\\x1b"']),
        ("", "-", ['~ x: "" → "-"']),
        ("1e3", "1_000", ['~ x: "1e3" → "1_000"']),
        ("a", {"a": 1}, ["~ x: a → {a: 1}"]),
        (["a"], {}, ["~ x: [a] → {}"]),
        ([], ["a: b"], ['+ x[0]: "a: b"']),
        ({}, {"a": None}, ["+ x.a: null"]),
    ],
    ids=str,
)
def test_values_that_look_alike_are_told_apart(before: Any, after: Any, lines: list[str]) -> None:
    """Quotes show texts that could be numbers, and where a text begins and ends."""
    assert _of_value(before, after) == lines


@pytest.mark.parametrize(
    ("items", "change", "path"),
    [
        ([{"mountPath": "/a", "name": "v"}, {"mountPath": "/b", "name": "v"}], "n", "x[/b].n"),
        ([{"containerPort": 80}, {"containerPort": 81, "protocol": "UDP"}], "n", "x[81/UDP].n"),
        ([{"port": 80}, {"port": 81}], "n", "x[81/TCP].n"),
        ([{"key": "a", "effect": "e"}, {"key": "b"}], "effect", "x[b].effect"),
        ([{"host": "a.example"}, {"host": "*.b.example"}], "n", "x[*.b.example].n"),
        ([{"name": "a"}, {"name": "10"}], "n", 'x["10"].n'),
        ([{"name": "a"}, {"name": "b] x"}], "n", 'x["b] x"].n'),
        ([{"key": "a"}, {"other": "b"}], "n", "x[1].n"),
        ([{"name": "a"}, {"name": "a"}], "n", "x[1].n"),
        ([["a"], {"b": "c"}], "n", "x[1].n"),
    ],
    ids=str,
)
def test_items_are_found_by_what_names_them(items: list[Any], change: str, path: str) -> None:
    """A list is compared item by item, in words of the manifest; without a name by position."""
    after = [items[0], {**items[1], change: "new"}]

    assert _of_value(items, after) == [f"+ {path}: new"]
    assert _of_value([items[0]], items)[0].startswith(f"+ {path.removesuffix('.' + change)}: {{")


def test_an_insertion_does_not_blame_what_comes_after_it() -> None:
    """One argument more at the beginning is one line."""
    assert _of_value(["a", "b", "c"], ["new", "a", "b", "c"]) == ["+ x[0]: new"]
    assert _of_value([1, 2, 3, 4], [1, 3, 4]) == ["- x[1]: 2"]


def test_another_order_is_a_difference() -> None:
    """Variables refer to earlier ones, init containers run one after the other."""
    env = [{"name": name} for name in "ABC"]

    assert _of_value(env, [env[1], env[0], {"name": "D"}, env[2]]) == [
        "+ x[D]: {name: D}",
        "~ x: other order",
        "    - A, B, C",
        "    + B, A, C",
    ]


def test_keys_with_dots_are_quoted() -> None:
    """A path leads to one place only."""
    before = {"data": {"a.b": "1", "c": {"d": 1}, "": "x", 'q"]': "x", "\x1b": "x"}}

    assert [line.text for line in difference(before, {"data": {}})] == [
        'data["a.b"]: "1"',
        "data.c: {d: 1}",
        'data[""]: x',
        'data["q\\"]"]: x',
        'data["\\x1b"]: x',
    ]


def test_a_text_is_compared_line_by_line() -> None:
    """Of a configuration file the lines that change are shown, with two around them."""
    lines = [f"line {number}" for number in range(30)]
    after = [*lines[:5], "  line 5", *lines[6:24], "new", *lines[24:29]]

    assert _of_value("\n".join(lines), "\n".join(after)) == [
        "~ x:",
        "      line 3",
        "      line 4",
        '    - "line 5"',
        '    + "  line 5"',
        "      line 6",
        "      line 7",
        "      …",
        "      line 22",
        "      line 23",
        "    + new",
        "      line 24",
        "      line 25",
        "      line 26",
        "      line 27",
        "      line 28",
        "    - line 29",
    ]
    assert _of_text("a\nb\n", "a\nb") == ["      a", '    - "b\\n"', '    + "b"']


def test_a_text_that_comes_or_goes_is_shown_as_it_is() -> None:
    """A new file in a ConfigMap is readable before it is applied."""
    assert _printed({"data": {}}, {"data": {"app.conf": "listen 80;\n\n\tworkers 4;\n"}}) == [
        '+ data["app.conf"]: |',
        "    + listen 80;",
        "    +",
        "    + \tworkers 4;",
    ]


def test_a_large_item_is_spread_over_lines() -> None:
    """A container more is as readable as in the manifest."""
    side = {"name": "side", "image": "registry.example/side:1", "command": ["sh", "-c", "a\nb\n"]}

    assert _of_value([], [side]) == [
        "+ x[side]:",
        "    + name: side",
        "    + image: registry.example/side:1",
        "    + command:",
        "    + - sh",
        "    + - -c",
        "    + - |",
        "    +     a",
        "    +     b",
    ]


def test_of_long_values_the_part_that_differs_is_shown() -> None:
    """However long the line before it is, the change itself is seen."""
    begin, end = "registry.example/" + "a" * 500, "z" * 500

    old, new = _of_text(f"{begin}:1{end}", f"{begin}:2{end}")

    assert old.startswith("    - …" + "a" * 29 + ":1zzz")
    assert new.startswith("    + …" + "a" * 29 + ":2zzz")
    assert len(old) == len(new) < 140
    assert _of_text(begin, begin + "!")[1].endswith("a!")


def test_nothing_acts_on_the_terminal() -> None:
    """Escapes, carriage returns and letters that turn the direction of writing are made visible."""
    hostile = "a\x1b[2J\r\x00\u202eb\u200b\x85\ud800"
    shown = "a\\x1b[2J\\r\\x00\\u202eb\\u200b\\x85\\ud800"
    objects: list[dict[str, Any] | None] = [
        None,
        {"data": {}},
        {"data": {hostile: hostile, "text": f"{hostile}\nb\n", "list": [hostile, {"a": hostile}]}},
        {"data": {hostile: 1, "text": f"{hostile}!\nb\n", "list": [{hostile: hostile}]}},
    ]

    for before, after in itertools.permutations(objects, 2):
        for line in difference(before, after):
            assert line.text.isprintable()
            assert line.text.count("\\x1b") == line.text.count(shown)


def test_values_of_secrets_are_never_shown() -> None:
    """That a password changes is said, and nothing else about it."""
    before = {"kind": "Secret", "data": {"same": "eA==", "password": "eA==", "gone": "eA=="}}
    after = {"kind": "Secret", "data": {"same": "eA==", "password": "eHk=", "new": "eA=="}}

    assert _printed(before, after) == [
        "~ data.password: *** → *** (changed)",
        "- data.gone: ***",
        "+ data.new: ***",
    ]
    assert _printed(None, {**after, "stringData": {"a": "b\nc"}, "type": "Opaque"}) == [
        "+ kind: Secret",
        "+ data:",
        "+   same: ***",
        "+   password: ***",
        "+   new: ***",
        "+ stringData:",
        "+   a: ***",
        "+ type: Opaque",
    ]
    assert _printed(before, {"kind": "Secret", "data": "eA=="})[0].endswith("→ ***")


def _text(*lines: str) -> dict[str, Any]:
    return {"data": {"file": "\n".join(lines)}}


UNIQUE = [f"key{number}: {number % 7}" for number in range(10_000)]
REPEATED = [f"key: {number % 97}" for number in range(10_000)]


@pytest.mark.parametrize(
    ("before", "after", "most"),
    [
        (UNIQUE, [*UNIQUE[:5], "x", *UNIQUE[5:9990], "y", *UNIQUE[9991:]], 14),
        (REPEATED, [*REPEATED[:5], "x", *REPEATED[6:9990], "y", *REPEATED[9991:]], 14),
        (UNIQUE, [line + "!" * (at % 2) for at, line in enumerate(UNIQUE)], 62),
        (REPEATED, [line + "!" * (at % 2) for at, line in enumerate(REPEATED)], 62),
        (REPEATED, ["x", *REPEATED, "x"], 62),
        (REPEATED, REPEATED[:1000:-1], 62),
        (UNIQUE, UNIQUE[::-1], 62),
        (UNIQUE, ["x"], 62),
    ],
    ids=[
        "two-places",
        "two-places-repeated",
        "every-other",
        "every-other-repeated",
        "ends",
        "shorter-backwards",
        "backwards",
        "other",
    ],
)
def test_large_files_are_compared_line_by_line(
    before: list[str], after: list[str], most: int
) -> None:
    """Ten thousand lines are a short difference after a moment, whatever happened to them."""
    lines = difference(_text(*before), _text(*after))

    assert 1 < len(lines) <= most
    assert {Sign.REMOVED, Sign.ADDED} & {line.sign for line in lines}


def test_a_megabyte_stays_short() -> None:
    """A large value is cut; how much more there is is said."""
    long, many = "x" * 1_000_000, {str(number): "a" for number in range(5000)}

    assert max(len(line.text) for line in difference(None, {"data": {"a": long}})) < 140
    assert len(difference({"data": {}}, {"data": {"a": long}})) == 1
    assert len(difference(None, _text(*UNIQUE))) == 63
    changed = difference({"data": many}, {"data": dict.fromkeys(many, "b")})
    assert changed[-1] == Line(Sign.SAME, "… 4,600 more lines")
    assert len(changed) == 401


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


KEYS = st.sampled_from(["name", "a", "port", "key", "x.y", "metadata", "data"]) | st.text(
    max_size=3
)
TEXTS = (
    st.text(max_size=8) | st.text("ab \n", max_size=30) | st.sampled_from(["1", "true", "a" * 300])
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | st.lists(st.fixed_dictionaries({"name": st.sampled_from("abcd"), "v": inner}), max_size=4)
    ),
    max_leaves=15,
)


@given(VALUES, VALUES)
def test_every_change_has_a_line(before: Any, after: Any) -> None:
    """Whatever the objects are: no change is silent, and no line is printed without one."""
    lines = difference({"spec": before}, {"spec": after})

    assert bool(lines) == (_canonical(before) != _canonical(after))
    assert difference({"spec": before}, {"spec": before}) == []
    for line in [*lines, *difference(None, {"spec": before})]:
        assert line.text.replace("\t", "").isprintable()


TOKENS = st.text("0123456789abcdef", min_size=16, max_size=24)
HIDDEN = st.dictionaries(st.sampled_from(["a", "b", "c.d"]), TOKENS | st.lists(TOKENS), max_size=3)
SECRETS = st.none() | st.fixed_dictionaries(
    {
        "kind": st.just("Secret"),
        "metadata": st.fixed_dictionaries(
            {},
            optional={
                "annotations": st.fixed_dictionaries(
                    {"kubectl.kubernetes.io/last-applied-configuration": TOKENS}
                )
            },
        ),
    },
    optional={"data": HIDDEN | TOKENS, "stringData": HIDDEN | st.lists(TOKENS)},
)


@given(SECRETS, SECRETS)
def test_no_secret_is_ever_printed(before: Any, after: Any) -> None:
    """Not even of Secrets that no server would take; nor when the kind is another on one side."""
    texts = [str(line) for line in difference(before, after)]
    texts += [str(line) for line in difference({**(before or {}), "kind": "ConfigMap"}, after)]

    assert all(len(run) < 16 for text in texts for run in _hexadecimal_runs(text))


def _hexadecimal_runs(text: str) -> list[str]:
    return "".join(c if c in "0123456789abcdef" else " " for c in text).split()
