"""From a matplotlib figure to inline SVG that follows the page's colours and fonts.

Three ideas:

1. A plot is drawn in sentinel colours (`INK`, `PASS`, …); each becomes a CSS variable, so that
   one drawing serves light, dark and print.
2. Names from logs never reach matplotlib (whose text may be read as mathematics, and warns about
   glyphs). A plot writes a token from `Words.token`; the real text is put in afterwards, escaped.
3. What the library adds and nobody needs (metadata, global style, unused ids, fixed fonts) goes.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree

from twiceshy.evidence.page.words import clean

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, RULE = "#010203", "#010204", "#010205"
PASS, FAIL, OTHER = "#010206", "#010207", "#010208"
WASH, PAPER = "#010209", "#01020a"
PASS_AREA, FAIL_AREA = "#01020b", "#01020c"

_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    PASS: "--pass",
    FAIL: "--fail",
    OTHER: "--other",
    WASH: "--band",
    PAPER: "--paper",
    PASS_AREA: "--pass-area",
    FAIL_AREA: "--fail-area",
}
_XLINK = "{http://www.w3.org/1999/xlink}href"
_FONT = re.compile(r"font:[^;]*?([\d.]+)px[^;]*|font-family:[^;]*;?\s*")
_REFERENCE = re.compile(r"#([\w.-]+)")
_PIXELS_PER_INCH = 72.0
"""At this resolution a point is one unit of the drawing, so sizes read as CSS pixels."""


class Words:
    """Texts from logs that stand in a drawing as tokens."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def token(self, text: str) -> str:
        """Remember a text and return what matplotlib is to write in its place."""
        self._texts.append(str(clean(text)))
        return f"@{len(self._texts) - 1}@"

    def text(self, token: str) -> str:
        """Return the text a token stands for; anything else comes back as it is."""
        found = re.fullmatch(r"@(\d+)@", token)
        return self._texts[int(found[1])] if found else token


class Labels(NamedTuple):
    """What a screen reader says of a drawing."""

    title: str
    desc: str


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many CSS pixels; no global state is touched."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / _PIXELS_PER_INCH, height / _PIXELS_PER_INCH))
    FigureCanvasSVG(figure)
    return figure


def inline_svg(figure: Figure, *, prefix: str, labels: Labels, words: Words) -> str:
    """Return the figure as one `<svg role="img">` element with a title and a description.

    Args:
        figure: Drawn in the sentinel colours.
        prefix: Unique on the page; every id in the drawing starts with it.
        labels: For the `<title>` and `<desc>`.
        words: The texts behind the tokens in the drawing.
    """
    root = ElementTree.fromstring(_draw(figure))
    _drop(root, ("metadata", "style"))
    kept = _referenced(root)
    names = {old: f"{prefix}-{i}" for i, old in enumerate(sorted(kept))}
    for element in root.iter():
        _tidy(element, names=names, words=words)
    _label(root, prefix=prefix, labels=labels)
    return ElementTree.tostring(root, encoding="unicode")


def _draw(figure: Figure) -> bytes:
    import matplotlib

    target = BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    settings = {"svg.fonttype": "none", "svg.hashsalt": "twiceshy", "path.simplify": True}
    with matplotlib.rc_context(settings):
        figure.savefig(
            target, format="svg", dpi=_PIXELS_PER_INCH, transparent=True, metadata=nothing
        )
    return target.getvalue()


def _drop(root: ElementTree.Element, tags: tuple[str, ...]) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if _local(child.tag) in tags:
                parent.remove(child)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _referenced(root: ElementTree.Element) -> set[str]:
    found: set[str] = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == _XLINK or "url(#" in value:
                found.update(_REFERENCE.findall(value))
    ids = {element.get("id") for element in root.iter()}
    return {name for name in found if name in ids}


def _tidy(element: ElementTree.Element, *, names: dict[str, str], words: Words) -> None:
    element.tag = _local(element.tag)
    if element.text:
        element.text = words.text(element.text.strip()) or None
    element.tail = None
    if element.get("id") not in names:
        element.attrib.pop("id", None)
    for name, value in list(element.attrib.items()):
        del element.attrib[name]
        element.set(_local(name), _restyle(value, name=name, names=names))


def _restyle(value: str, *, name: str, names: dict[str, str]) -> str:
    if name == "id":
        return names[value]
    if name == _XLINK or "url(#" in value:
        value = _REFERENCE.sub(lambda match: "#" + names.get(match[1], match[1]), value)
    for colour, variable in _VARIABLES.items():
        value = value.replace(colour, f"var({variable})")
    return _FONT.sub(lambda match: f"font-size: {match[1]}px" if match[1] else "", value)


def _label(root: ElementTree.Element, *, prefix: str, labels: Labels) -> None:
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{prefix}-title {prefix}-desc")
    root.set("focusable", "false")
    for tag, text in (("desc", labels.desc), ("title", labels.title)):
        child = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        child.text = str(clean(text))
        root.insert(0, child)
