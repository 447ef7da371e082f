"""The functions `html`, `js` and `urlquery`: the expected texts come from Go itself."""

from __future__ import annotations

from typing import Any

import pytest

from codexctl_tasks.stack.gotemplate.formatting import html, js, urlquery

HTML = [
    ("plain", "plain"),
    ("a b&amp;c=d/e?f", "a b&c=d/e?f"),
    ("&lt;a href=&#34;x&#34;&gt;it&#39;s&lt;/a&gt;", '<a href="x">it\'s</a>'),
    ("\ufffd\n\t\x1f\x7f", "\0\n\t\x1f\x7f"),
    ("\\ é世", "\\ é世"),
    ("\u200b\u2028\U0001f600\U000e0001", "\u200b\u2028\U0001f600\U000e0001"),
    ("\udcff", "\udcff"),
    ("-_.~!*()+,;:@$%", "-_.~!*()+,;:@$%"),
    ("&lt;no value&gt;", None),
    ("1 2", 1, 2),
    ("a1 2&lt;", "a", 1, 2, "<"),
    ("&lt;no value&gt;a", None, "a"),
    ("[&lt; &amp;]", ["<", "&"]),
    ("true", True),
    ("1e+06", 1e6),
]

JS = [
    ("plain", "plain"),
    ("a b\\u0026c\\u003Dd/e?f", "a b&c=d/e?f"),
    ('\\u003Ca href\\u003D\\"x\\"\\u003Eit\\\'s\\u003C/a\\u003E', '<a href="x">it\'s</a>'),
    ("\\u0000\\u000A\\u0009\\u001F\x7f", "\0\n\t\x1f\x7f"),
    ("\\\\ é世", "\\ é世"),
    ("\\u200B\\u2028\U0001f600\\uE0001", "\u200b\u2028\U0001f600\U000e0001"),
    ("\udcff", "\udcff"),
    ("-_.~!*()+,;:@$%", "-_.~!*()+,;:@$%"),
    ("\\u003Cno value\\u003E", None),
    ("1 2", 1, 2),
    ("a1 2\\u003C", "a", 1, 2, "<"),
    ("\\u003Cno value\\u003Ea", None, "a"),
    ("[\\u003C \\u0026]", ["<", "&"]),
    ("true", True),
    ("1e+06", 1e6),
]

URLQUERY = [
    ("plain", "plain"),
    ("a+b%26c%3Dd%2Fe%3Ff", "a b&c=d/e?f"),
    ("%3Ca+href%3D%22x%22%3Eit%27s%3C%2Fa%3E", '<a href="x">it\'s</a>'),
    ("%00%0A%09%1F%7F", "\0\n\t\x1f\x7f"),
    ("%5C+%C3%A9%E4%B8%96", "\\ é世"),
    ("%E2%80%8B%E2%80%A8%F0%9F%98%80%F3%A0%80%81", "\u200b\u2028\U0001f600\U000e0001"),
    ("%FF", "\udcff"),
    ("-_.~%21%2A%28%29%2B%2C%3B%3A%40%24%25", "-_.~!*()+,;:@$%"),
    ("%3Cno+value%3E", None),
    ("1+2", 1, 2),
    ("a1+2%3C", "a", 1, 2, "<"),
    ("%3Cno+value%3Ea", None, "a"),
    ("%5B%3C+%26%5D", ["<", "&"]),
    ("true", True),
    ("1e%2B06", 1e6),
]


@pytest.mark.parametrize(("expected", "values"), [(line[0], line[1:]) for line in HTML])
def test_html(expected: str, values: tuple[Any, ...]) -> None:
    """A value can stand in a page of a config map without breaking its markup."""
    assert html(*values) == expected


@pytest.mark.parametrize(("expected", "values"), [(line[0], line[1:]) for line in JS])
def test_js(expected: str, values: tuple[Any, ...]) -> None:
    """A value can stand in a string of a script."""
    assert js(*values) == expected


@pytest.mark.parametrize(("expected", "values"), [(line[0], line[1:]) for line in URLQUERY])
def test_urlquery(expected: str, values: tuple[Any, ...]) -> None:
    """A value can stand in the query of a URL, such as a webhook's."""
    assert urlquery(*values) == expected
