"""One self-contained HTML page of results that opens offline.

Fill a `Page` and call `render_page` (text) or `write_page` (file). Nothing in the page is fetched
from elsewhere, it needs no script, and every text in it is escaped: log text is somebody else's
data. Sections without data stay, and say in words that there is none.

>>> from twiceshy.evidence.page import Page, render_page
>>> "every rate is undefined" in render_page(Page(title="Nothing yet", summary=()))
True
"""

from __future__ import annotations

from twiceshy.evidence.page.ranking import rank_lessons
from twiceshy.evidence.page.render import render_page, write_page
from twiceshy.evidence.page.types import (
    FrontierPoint,
    GroupState,
    HeldOut,
    Measure,
    OutcomeCount,
    Page,
    Score,
    Trial,
    TrialArm,
)

__all__ = [
    "FrontierPoint",
    "GroupState",
    "HeldOut",
    "Measure",
    "OutcomeCount",
    "Page",
    "Score",
    "Trial",
    "TrialArm",
    "rank_lessons",
    "render_page",
    "write_page",
]
