"""Values as text: numbers with their n, and log text made safe to look at."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from twiceshy.evidence.page.types import Measure

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_MAX_LISTED = 12


def clean(value: object) -> object:
    r"""Replace what must not reach the page: control, direction and half characters.

    They are shown by code point, so that hidden text is seen. Anything but a plain string is
    returned as it is (markup made by this package included).

    >>> clean("a\x00b")
    'a⟨U+0000⟩b'
    """
    if type(value) is not str:
        return value
    return _UNSAFE.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", value.replace("\r\n", "\n"))


def shorten(text: str, limit: int) -> str:
    """Cut text to `limit` characters, with an ellipsis where something is left out.

    >>> shorten("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def number(value: object) -> str:
    """Format one cell; None and NaN are undefined.

    >>> [number(x) for x in (None, 1319, 13.0, 0.42, -0.0456, 0.00001, True, "x")]
    ['undefined', '1,319', '13', '0.420', '−0.046', '1.0e−05', 'yes', 'x']
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "undefined"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        return _decimal(value).replace("-", "−")
    return str(value)


def _decimal(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value != 0 and abs(value) < 0.0005:
        return f"{value:.1e}"
    if abs(value) >= 2 and value.is_integer():
        return f"{value:,.0f}"
    return f"{value:,.3f}" if abs(value) < 100 else f"{value:,.1f}"


def signed(value: float | None) -> str:
    """Format a difference with its sign.

    >>> signed(0.263), signed(-0.014), signed(None)
    ('+0.263', '−0.014', 'undefined')
    """
    if value is None or math.isnan(value) or value <= 0:
        return number(value)
    return "+" + number(value)


def probability(value: float | None) -> str:
    """Format a p-value or q-value; none is a dash.

    >>> probability(0.046), probability(0.0004), probability(None)
    ('0.046', '< 0.001', '—')
    """
    if value is None:
        return "—"
    return "< 0.001" if value < 0.001 else number(value)


def interval(low: float | None, high: float | None, *, sign: bool = False) -> str:
    """Format an interval, or say that there is none.

    >>> interval(0.676, 0.728), interval(None, 1.0)
    ('[0.676, 0.728]', 'no interval')
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "no interval"
    form = signed if sign else number
    return f"[{form(low)}, {form(high)}]"


def measured(measure: Measure, *, sign: bool = False) -> str:
    """Format an estimate with interval and n.

    >>> measured(Measure(name="rate", estimate=None, n=0))
    'undefined (n = 0)'
    >>> measured(Measure(name="rate", estimate=0.42, low=0.31, high=0.53, n=50))
    '0.420 [0.310, 0.530], n = 50 tasks'
    """
    if measure.estimate is None or math.isnan(measure.estimate):
        return f"undefined (n = {number(measure.n)})"
    form = signed if sign else number
    span = interval(measure.low, measure.high, sign=sign)
    span = span if span.startswith("[") else f"({span})"
    return f"{form(measure.estimate)} {span}, n = {number(measure.n)} {measure.unit}"


def counted(n: int, noun: str) -> str:
    """Format a count with its noun, which takes an s in the plural.

    >>> counted(1, "task"), counted(1319, "task")
    ('1 task', '1,319 tasks')
    """
    return f"{number(n)} {noun}" if n == 1 else f"{number(n)} {noun}s"


class Entry(NamedTuple):
    """One line of a flattened mapping."""

    name: str
    value: str


def flatten(values: Mapping[str, Any], *, prefix: str = "") -> Iterable[Entry]:
    """Yield nested values as dotted names with one text each; long lists are cut and counted.

    >>> list(flatten({"a": {"b": 1}, "c": [0.5, None]}))
    [Entry(name='a.b', value='1'), Entry(name='c', value='0.500, undefined')]
    """
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, prefix=f"{prefix}{name}.")
        else:
            yield Entry(f"{prefix}{name}", _text(value))


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        inner = "; ".join(f"{entry.name} {entry.value}" for entry in flatten(value))
        return inner or "none"
    if isinstance(value, Collection) and not isinstance(value, str | bytes):
        listed = [_text(item) for item in islice(value, _MAX_LISTED)]
        left = len(value) - len(listed)
        return ", ".join(listed) + (f", and {number(left)} more" if left else "") or "none"
    return number(value)
