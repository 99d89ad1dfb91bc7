"""Elements, and what is escaped in them."""

from __future__ import annotations

import pytest

from gie_core.cli.html.axes import percent, ticks
from gie_core.cli.html.markup import Markup, clip, fragment, tag
from gie_core.cli.html.tables import bar, table
from gie_core.cli.html.units import error_text, quantity, ratio_text, short


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (tag("p", "a < b & c"), "<p>a &lt; b &amp; c</p>"),
        (tag("p", Markup("<b>x</b>"), 3, None), "<p><b>x</b>3</p>"),
        (tag("p", ["a", ["b", tag("i")]]), "<p>ab<i></i></p>"),
        (tag("p", "\x1b[31m\u202e"), "<p>\\x1b[31m\\u202e</p>"),
        (tag("a", href='"><script>'), '<a href="&quot;&gt;&lt;script&gt;"></a>'),
        (tag("a", class_="x", data_time=3), '<a class="x" data-time="3"></a>'),
        (tag("input", hidden=True, open=False, id=None), "<input hidden/>"),
        (tag("rect", x=1.25), '<rect x="1.25"/>'),
        (fragment("<", tag("br")), "&lt;<br/>"),
        (bar(0.5, "f-norm"), '<span class="bar f-norm"><i style="width:50%"></i></span>'),
        (bar(7.0), '<span class="bar"><i style="width:100%"></i></span>'),
        (bar(float("nan")), '<span class="bar"></span>'),
        (quantity("12.3 ms"), "<b>12.3</b><small> ms</small>"),
    ],
)
def test_markup(made: str, text: str) -> None:
    assert made == text


def test_a_table_says_how_many_rows_it_leaves_out() -> None:
    made = table(["a", ">b"], [(n, n) for n in range(5)], most=3)
    assert made.count("<tr>") == 4
    assert "and 2 more" in made


@pytest.mark.parametrize(
    ("text", "length", "clipped"),
    [("abc", 3, "abc"), ("abcdef", 5, "ab…ef"), ("abcdef", 4, "ab…f"), ("abcdef", 3, "a…f")],
)
def test_clip(text: str, length: int, clipped: str) -> None:
    assert clip(text, length) == clipped


@pytest.mark.parametrize(
    ("end", "most", "values"),
    [
        (10, 6, [0, 2, 4, 6, 8, 10]),
        (9.9, 6, [0, 2, 4, 6, 8]),
        (0.7, 3, [0, 0.5]),
        (1, 1, [0, 1]),
        (0, 6, [0]),
        (-5, 6, [0]),
    ],
)
def test_ticks(end: float, most: int, values: list[float]) -> None:
    assert ticks(end, most) == pytest.approx(values)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (percent(1, 3), "33.33%"),
        (percent(1, 0), "0%"),
        (short("10.0 ms"), "10 ms"),
        (short("2.50 MB"), "2.5 MB"),
        (short("100 ms"), "100 ms"),
        (error_text(None), "–"),
        (error_text(float("nan")), "not finite"),
        (ratio_text(1.052), "1.05×"),
        (ratio_text(1234.5), "1,234×"),
    ],
)
def test_numbers(made: str, text: str) -> None:
    assert made == text
