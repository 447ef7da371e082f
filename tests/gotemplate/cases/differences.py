"""The few templates that are not treated as Go treats them."""

# ruff: noqa: E501 -- a template is read more easily in one line

from __future__ import annotations

from typing import Any

REFUSED: list[tuple[str, Any, str]] = [
    ("{{ .Storage }}", None, "a struct cannot be printed"),
    ("{{ print .Storage }}", None, "a struct cannot be printed"),
    ("{{ . }}", None, "a struct cannot be printed"),
    ("{{ printf `%v` .Storage.Workspace }}", None, "a struct cannot be printed"),
    ("{{ printf `%T` .Storage.Data }}", None, "cannot format"),
    ("{{ printf `%T` (index `abc` 0) }}", None, "cannot format"),
    ("{{ html .Storage.Data 1 }}", None, "cannot print nil"),
    ("{{ eq .Storage .Storage }}", None, "structs cannot be compared"),
    ("{{ slice .Unicode 0 2 }}{{ slice .Unicode 2 }}", None, "not valid UTF-8"),
    ("{{ 1i }}", None, "imaginary"),
    ("{{ if false }}{{ 1+2i }}{{ end }}", None, "imaginary"),
    ("{{ " + "(" * 41 + "1" + ")" * 41 + " }}", None, "parentheses"),
    ("{{ 1" + " | print" * 41 + " }}", None, "calls inside each other"),
    ("{{ if 1 }}" * 41 + "{{ end }}" * 41, None, "blocks"),
    ("{{ range 1 }}" * 19 + "{{ end }}" * 19, None, "loops"),
    (
        "{{ define `t` }}{{ if . }}{{ template `t` (slice . 1) }}{{ end }}{{ end }}{{ template `t` . }}",
        "x" * 2000,
        "too deeply",
    ),
    ("{{ range .Now.Month }}{{ . }}{{ end }}", None, "range cannot go through"),
]  # fmt: skip
"""Templates that Go renders and this package refuses, with the reason it gives."""

ACCEPTED: list[tuple[str, Any, str]] = [("{{ slice .List .Slot }}", None, "[c]")]
"""Templates that Go refuses for no reason that anybody would see, and what they render to here."""
