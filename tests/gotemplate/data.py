"""The data that templates are tried with, in the JSON form that the oracle reads."""

from __future__ import annotations

from typing import Any

STACK: dict[str, Any] = {
    "Env": "ai",
    "Slot": 2,
    "Empty": "",
    "Nil": None,
    "Yes": True,
    "No": False,
    "Zero": 0,
    "Float": 1.5,
    "Large": 1e6,
    "Versions": {"app": "1.2.3", "db": "16", "x-y": "0"},
    "Vars": {"name": "shop"},
    "EnvMap": {"HOME": "/root", "EMPTY": "", "BLANK": "  "},
    "List": ["a", "b", "c"],
    "Mixed": [1, "x", None, True, 2.5, ["y"]],
    "NoList": [],
    "Ints": [3, 1, 2],
    "Map": {"b": 1, "a": {"x": "deep", "n": None}, "é": [1]},
    "NoMap": {},
    "Now": {"$time": "2024-03-05T07:08:09Z"},
    "Unicode": "héllo ☃ 😀",
    "Markup": '<a href="x">&\'</a>',
    "Lines": "one\ntwo\n\n",
    "Tricky": "{{.Env}} {% x %} {# y #}",
    "Storage": {
        "$struct": [
            ["Workspace", {"$struct": [["Size", "1Gi"], ["AccessModes", ["RWO"]], ["Max", 3]]}],
            ["Data", None],
        ]
    },
}
