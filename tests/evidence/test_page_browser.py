"""The page in a real browser: width, contrast, names for a screen reader, nothing fetched."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any, Literal

import pytest
from page_example import huge_page, rich_page

from twiceshy.evidence.page import Page, write_page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--allow-file-access-from-files",
    "--enable-blink-features=ComputedAccessibilityInfo",
)
Scheme = Literal["light", "dark"]

# The page itself has no script. It is framed at the width to test, and asked from outside.
WRAPPER = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="f" src="page.html" style="border:0;width:WIDTHpx;height:HEIGHTpx"></iframe>
<script>
const channel = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
const light = ([r, g, b]) =>
  0.2126 * channel(r / 255) + 0.7152 * channel(g / 255) + 0.0722 * channel(b / 255);
function behind(element, view) {
  for (let e = element; e; e = e.parentElement) {
    const colour = parse(view.getComputedStyle(e).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
}
function contrasts(doc, view) {
  const found = [];
  for (const e of doc.querySelectorAll("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    if (e.tagName === "title" || e.tagName === "desc" || !e.getClientRects().length) continue;
    if (e.closest(".skip")) continue;
    const style = view.getComputedStyle(e);
    const front = light(parse(e.closest("svg") ? style.fill : style.color));
    const back = light(behind(e, view));
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    found.push([Math.round(ratio * 100) / 100, e.tagName + "." + e.className]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}
document.getElementById("f").onload = () => {
  const frame = document.getElementById("f"), doc = frame.contentDocument;
  for (const details of doc.querySelectorAll("details")) details.open = true;
  const view = frame.contentWindow, width = doc.documentElement.clientWidth;
  const named = q => [...doc.querySelectorAll(q)].filter(e => e.getClientRects().length)
    .map(e => [e.computedRole, e.computedName]);
  const ratios = contrasts(doc, view);
  const out = document.createElement("pre");
  out.id = "measured";
  out.textContent = JSON.stringify({
    width, scrollWidth: doc.documentElement.scrollWidth,
    height: doc.documentElement.scrollHeight,
    wider: [...doc.querySelectorAll("main *")].filter(e => !e.closest(".scroll") &&
      e.getClientRects().length && e.getBoundingClientRect().right > width + 0.5 &&
      !e.closest("svg")).map(e => e.tagName + "." + e.className).slice(0, 5),
    clipped: [...doc.querySelectorAll("svg[role=img] text")].filter(e => {
      const box = e.getBoundingClientRect();
      return box.width && (box.left < -0.5 || box.right > width + 0.5);
    }).map(e => e.textContent),
    background: view.getComputedStyle(doc.body).backgroundColor,
    texts: ratios.length, worst: ratios.slice(0, 3),
    images: named("svg[role=img]"), regions: named(".scroll"), navigation: named("nav"),
    focusable: [...doc.querySelectorAll(".scroll")].every(e => e.tabIndex === 0),
    fetched: view.performance.getEntriesByType("resource").length,
  });
  document.body.append(out);
};
</script>"""


def chromium(folder: Path, *options: str, scheme: Scheme) -> str:
    assert CHROMIUM is not None
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    profile = folder / f"profile-{len(list(folder.iterdir()))}"
    done = subprocess.run(
        [CHROMIUM, *QUIET, *dark, f"--user-data-dir={profile}", *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def frame(folder: Path, page: Page, *, width: int, height: int) -> str:
    write_page(page, folder / "page.html")
    wrapper = folder / "wrapper.html"
    text = WRAPPER.replace("WIDTH", str(width)).replace("HEIGHT", str(height))
    wrapper.write_text(text, encoding="utf-8")
    return wrapper.as_uri()


def measure(folder: Path, page: Page, *, width: int, scheme: Scheme) -> dict[str, Any]:
    address = frame(folder, page, width=width, height=900)
    text = chromium(folder, "--virtual-time-budget=5000", "--dump-dom", address, scheme=scheme)
    found = re.search(r'<pre id="measured">(.*?)</pre>', text, re.DOTALL)
    assert found is not None, text[-2000:]
    measured: dict[str, Any] = json.loads(unescape(found[1]))
    return measured


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_rich_page_fits_reads_and_has_names(tmp_path: Path, width: int, scheme: Scheme) -> None:
    seen = measure(tmp_path, rich_page(), width=width, scheme=scheme)
    assert seen["width"] == width
    assert seen["scrollWidth"] == width
    assert seen["wider"] == []
    assert seen["clipped"] == []
    assert seen["fetched"] == 0
    assert seen["texts"] > 200
    assert seen["worst"][0][0] >= 4.5, seen["worst"]
    assert seen["background"] == {"light": "rgb(253, 253, 252)", "dark": "rgb(19, 22, 26)"}[scheme]


def test_screen_reader_finds_names(tmp_path: Path) -> None:
    seen = measure(tmp_path, rich_page(), width=1280, scheme="light")
    assert seen["navigation"] == [["navigation", "Contents"]]
    assert len(seen["images"]) == 5
    assert all(role in ("image", "img") and name for role, name in seen["images"])
    assert len(seen["regions"]) >= 10
    assert all(role == "region" and name for role, name in seen["regions"])
    assert seen["focusable"]


@pytest.mark.parametrize("width", [390, 1280])
def test_huge_page_fits(tmp_path: Path, width: int) -> None:
    seen = measure(tmp_path, huge_page(), width=width, scheme="light")
    assert seen["scrollWidth"] == width
    assert seen["wider"] == []


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [("light", 1280, "light"), ("dark", 1280, "dark"), ("phone", 390, "light")],
)
def test_screenshot(tmp_path: Path, name: str, width: int, scheme: Scheme) -> None:
    """Take a picture; TWICESHY_SHOTS names a folder to keep it in."""
    folder = Path(os.environ.get("TWICESHY_SHOTS", tmp_path))
    picture = folder / f"page-{name}.png"
    address = frame(tmp_path, rich_page(), width=width, height=3000)
    size = f"--window-size={max(width, 500)},3000"
    chromium(tmp_path, size, f"--screenshot={picture}", address, scheme=scheme)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 50_000
