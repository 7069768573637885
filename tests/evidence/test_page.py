from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_example import huge_page, lessons, points, rich_page

from twiceshy.attempts.types import Outcome
from twiceshy.errors import BadInput
from twiceshy.evidence.page import (
    FrontierPoint,
    HeldOut,
    Measure,
    OutcomeCount,
    Page,
    Score,
    Trial,
    TrialArm,
    rank_lessons,
    render_page,
    write_page,
)
from twiceshy.evidence.page.contrast import part
from twiceshy.evidence.page.frontier_plot import in_order, sliced
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.lessons import ContrastPair, Effect, Evidence, EvidenceLevel, Lesson

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}$x_$"
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Outline(HTMLParser):
    """What a test wants to know of a page, and whether its tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.headings: list[int] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.images: list[list[str]] = []
        self.tables: list[list[str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags[tag] += 1
        self.attributes += [(tag, name, value) for name, value in given.items()]
        self.ids += [given["id"]] if "id" in given else []
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if given.get("role") == "img":
            self.images.append([])
        if tag in ("title", "desc") and "svg" in self.open:
            self.images[-1].append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "caption" or (tag == "th" and "scope" in given):
            self.tables[-1].append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data


@pytest.fixture(scope="module")
def rich() -> Outline:
    return Outline(render_page(rich_page()))


def words(page: Page) -> str:
    return " ".join(Outline(render_page(page)).text.split())


PAGES = {
    "empty": lambda: Page(title="", summary=()),
    "rich": rich_page,
    "ten groups": lambda: rich_page(10),
    "1,319 groups": lambda: rich_page(1319),
    "huge": huge_page,
}


@pytest.mark.parametrize("name", PAGES)
def test_structure(name: str) -> None:
    outline = Outline(render_page(PAGES[name]()))
    assert outline.open == []
    assert outline.headings[0] == 1
    assert outline.headings.count(1) == 1
    steps = zip(outline.headings, outline.headings[1:], strict=False)
    assert all(after <= before + 1 for before, after in steps)
    assert [i for i, n in Counter(outline.ids).items() if n > 1] == []
    assert all(sorted(parts) == ["desc", "title"] for parts in outline.images)
    assert all("caption" in parts and "th" in parts for parts in outline.tables)
    assert [outline.tags[tag] for tag in ("main", "nav", "header", "footer")] == [1, 1, 1, 1]


@pytest.mark.parametrize("name", PAGES)
def test_every_reference_leads_to_a_place_on_the_page(name: str) -> None:
    outline = Outline(render_page(PAGES[name]()))
    ids = set(outline.ids)
    for tag, attribute, value in outline.attributes:
        if attribute in ("href", "src", "xlink:href"):
            assert value.startswith("#"), (tag, value)
            assert value[1:] in ids
        if attribute in ("aria-labelledby", "aria-describedby"):
            assert set(value.split()) <= ids
        for target in re.findall(r"url\(([^)]*)\)", value):
            assert target[:1] == "#", target
            assert target[1:] in ids


def test_nothing_is_loaded_and_nothing_runs(rich: Outline) -> None:
    text = render_page(rich_page())
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text
    banned = ("script", "link", "iframe", "object", "embed", "img", "form", "base")
    assert [tag for tag in banned if rich.tags[tag]] == []
    assert not any(name.startswith("on") for _, name, _ in rich.attributes)
    policy = next(v for t, n, v in rich.attributes if t == "meta" and v.startswith("default-src"))
    assert policy.startswith("default-src 'none'")
    assert "script" not in policy


def test_language_viewport_and_skip_link(rich: Outline) -> None:
    assert ("html", "lang", "en") in rich.attributes
    assert ("meta", "name", "viewport") in rich.attributes
    assert ("a", "href", "#main") in rich.attributes


def test_drawings_use_only_the_page_colours() -> None:
    drawings = re.findall(r'<svg[^>]*role="img".*?</svg>', render_page(rich_page()), re.DOTALL)
    assert len(drawings) == 10
    for drawing in drawings:
        assert re.findall(r"(?<!url\()#[0-9a-f]{6}\b", drawing) == []
        assert "var(--" in drawing


def hostile_page() -> Page:
    bad = HOSTILE
    measure = Measure(name=bad, estimate=0.6, low=0.5, high=0.7, n=9, unit=bad, note=bad)
    score = Score(name=bad, estimate=0.6, low=0.5, high=0.7, n=9, unit=bad, pooled=measure)
    pair = ContrastPair(
        task=bad, failure_id=bad, success_id=bad, failure_text=bad, success_text="fine", ending=bad
    )
    lesson = Lesson(
        id=bad,
        kind="avoid",
        text=bad,
        pattern=bad,
        trigger=bad,
        instead=bad,
        scope={bad: bad},
        contrast=(pair,),
        steps=(bad,),
        flags=(bad,),
        evidence=Evidence(n_for=1, attempts_for=(bad,), within_task=Effect(estimate=0.1)),
    )
    table = Table(title=bad, columns=(bad, "b"), rows=((bad, 1),), note=bad)
    alarm = Alarm(name=bad, severity="alarm", message=bad, source=bad)
    return Page(
        title=bad,
        summary=(bad, bad),
        headline=(measure,),
        alarms=(alarm,),
        outcomes=(OutcomeCount(outcome=Outcome.BROKEN, n=3, reason=bad),),
        frontier=(FrontierPoint(task=bad, policy=bad, n=2, rate=0.5, state="mixed"),),
        lessons=(lesson,),
        held_out=HeldOut(
            auc=score, null=(0.4, 0.5), arms=(score,), baselines=(score,), conclusion=bad
        ),
        trial=Trial(arms=(TrialArm(difference=measure),), reference=bad, conclusion=bad),
        reports=(
            Report(
                kind=bad,
                title=bad,
                summary=(bad,),
                tables=(table,),
                numbers={bad: {bad: bad}},
                manifest={bad: [bad]},
            ),
        ),
        manifest={bad: bad},
    )


def test_hostile_text_is_inert() -> None:
    text = render_page(hostile_page())
    outline = Outline(text)
    assert outline.tags["script"] == outline.tags["img"] == 0
    assert outline.tags["style"] == 1
    assert not any(name.startswith("on") for _, name, _ in outline.attributes)
    assert "<script" not in text
    assert text.count("</style>") == 1
    assert "{{ 7*7 }}" in outline.text
    assert outline.text.count("alert(1)") > 30


@settings(max_examples=40, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_text_gives_a_page_that_can_be_written(text: str) -> None:
    pair = ContrastPair(
        task=text, failure_id="a", success_id="b", failure_text=text, success_text=text[1:]
    )
    lesson = Lesson(id="x", kind="avoid", text=text, contrast=(pair,))
    points = (FrontierPoint(task=text, n=1, rate=1.0, state="single"),)
    page = render_page(Page(title=text, summary=(text,), lessons=(lesson,), frontier=points))
    page.encode("utf-8")
    assert re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069]", page) is None
    assert Outline(page).open == []


def test_hidden_directions_are_shown() -> None:
    assert "⟨U+202E⟩" in words(Page(title="safe\u202egnp.exe", summary=()))


def test_empty_page_says_so_in_words() -> None:
    said = words(Page(title="Nothing", summary=()))
    assert "No attempts were read: every rate is undefined (n = 0)." in said
    assert "No lesson was learned" in said
    assert "No randomised trial was run" in said
    assert "not tested on tasks they were not mined from" in said


def test_unscored_attempts_have_no_rate() -> None:
    page = Page(
        title="A chat log",
        summary=("Nobody judged these.",),
        outcomes=(OutcomeCount(outcome=Outcome.UNSCORED, n=12, reason="no verdict"),),
        frontier=(FrontierPoint(task="t", n=0, rate=None, state="unscored"),),
        headline=(Measure(name="Success rate", estimate=None, n=0),),
    )
    said = words(page)
    assert "Nobody scored these attempts: every rate is undefined (n = 0)." in said
    assert "Success rate undefined (n = 0)" in said
    assert "No group has a scored attempt" in said
    assert "0.000" not in said


def test_an_estimate_without_n_is_refused() -> None:
    with pytest.raises(BadInput, match="n = 0"):
        Measure(name="rate", estimate=0.0, n=0)
    with pytest.raises(BadInput, match="n = 0"):
        FrontierPoint(task="t", n=0, rate=0.0, state="unscored")
    with pytest.raises(BadInput, match="finite"):
        Measure(name="rate", estimate=float("nan"), n=3)
    with pytest.raises(BadInput, match="low <= high"):
        Measure(name="rate", estimate=0.5, low=0.6, high=0.4, n=3)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.51, 0.7, "lies above 0.5"),
        (0.45, 0.7, "these data cannot decide"),
        (0.3, 0.49, "rank worse than chance"),
        (None, None, "nothing can be claimed"),
    ],
)
def test_verdict_follows_the_interval(low: float | None, high: float | None, said: str) -> None:
    auc = Score(name="auc", estimate=0.5 if low is None else low, low=low, high=high, n=26)
    assert said in words(Page(title="t", summary=(), held_out=HeldOut(auc=auc)))


def test_rank_counts_ties_as_higher() -> None:
    auc = Score(name="auc", estimate=0.6, low=0.5, high=0.7, n=26)
    held_out = HeldOut(auc=auc, null=(0.6, 0.61, 0.4, 0.5), p_value=0.6)
    said = words(Page(title="t", summary=(), held_out=held_out))
    assert "2 of 4 runs on shuffled labels scored as high or higher (p = 0.600)" in said
    assert "Fewer than 100 shuffled runs" in said


def test_constant_null_can_be_drawn() -> None:
    auc = Score(name="auc", estimate=0.5, low=0.5, high=0.5, n=26)
    page = Page(title="t", summary=(), held_out=HeldOut(auc=auc, null=(0.5,) * 10))
    assert "10 of 10 runs" in words(page)


def test_opposed_signs_are_flagged() -> None:
    said = words(rich_page())
    assert said.count("Signs differ.") == 1
    assert "Sides differ. step count: pooled 0.572" in said


def test_signs_are_compared_even_where_the_lesson_does_not_say() -> None:
    evidence = Evidence(pooled=Effect(estimate=-0.2), within_task=Effect(estimate=0.1))
    lesson = Lesson(id="a", kind="avoid", text="x", evidence=evidence)
    assert "Signs differ." in words(Page(title="t", summary=(), lessons=(lesson,)))


def test_missing_placebo_is_said() -> None:
    arm = TrialArm(difference=Measure(name="both", estimate=0.1, low=0.0, high=0.2, n=40))
    said = words(Page(title="t", summary=(), trial=Trial(arms=(arm,))))
    assert "There is no placebo arm" in said
    assert "There is no placebo arm" not in words(rich_page())


def test_flips_are_counted_both_ways() -> None:
    assert "lessons, both: 61 wrong → right, 19 right → wrong" in words(rich_page())


def test_the_same_alarm_is_shown_once_and_the_worst_first() -> None:
    mild = Alarm(name="Mild", severity="info", message="m")
    bad = Alarm(name="Bad", severity="alarm", message="b")
    report = Report(kind="triage", title="Triage", summary=(), alarms=(bad, mild))
    said = words(Page(title="t", summary=(), alarms=(mild,), reports=(report,)))
    assert said.count("Mild.") == said.count("Bad.") == 1
    assert said.index("Bad.") < said.index("Mild.")


def test_lessons_are_ranked_by_evidence_and_the_order_is_total() -> None:
    ranked = rank_lessons(lessons())
    assert [lesson.id for lesson in ranked] == ["1d1d1d", "b4c01e", "77aa90", "e3e3e3", "5f0a11"]
    assert rank_lessons(reversed(lessons())) == ranked


def test_held_out_effect_ranks_before_the_mined_one() -> None:
    def lesson(name: str, *, mined: float, held: float) -> Lesson:
        evidence = Evidence(within_task=Effect(estimate=mined), held_out=Effect(estimate=held))
        level = EvidenceLevel.SUGGESTED
        return Lesson(id=name, kind="avoid", text=name, level=level, evidence=evidence)

    pair = (lesson("shrunk", mined=0.9, held=0.1), lesson("held", mined=0.3, held=0.28))
    assert [one.id for one in rank_lessons(pair)] == ["held", "shrunk"]


def test_differing_place_is_marked_on_both_sides() -> None:
    parted = part("slice red potato with knife", "dice red potato with knife")
    assert [p.text for p in parted.failure if p.differs] == ["slice"]
    assert [p.text for p in parted.success if p.differs] == ["dice"]


@given(st.text(max_size=80), st.text(max_size=80))
def test_pieces_lose_nothing(failure: str, success: str) -> None:
    parted = part(failure, success)
    assert "".join(piece.text for piece in parted.failure) == failure
    assert "".join(piece.text for piece in parted.success) == success
    if failure == success:
        assert not any(piece.differs for piece in parted.failure)


def test_long_texts_are_cut_around_the_difference_with_a_count() -> None:
    failure = "a " * 5000 + "WRONG" + " b" * 5000
    parted = part(failure, failure.replace("WRONG", "RIGHT"))
    shown = "".join(piece.text for piece in parted.failure)
    assert "WRONG" in shown
    assert len(shown) < 1700
    assert shown.startswith("[9,600 characters before]")
    assert [piece.text for piece in parted.success if piece.differs] == ["RIGHT"]


def test_slices_keep_the_mean_and_cover_every_group() -> None:
    ordered = in_order(points(1319))
    pieces = sliced(ordered)
    sizes = [piece.last - piece.first + 1 for piece in pieces]
    assert sum(sizes) == 1319
    mean = sum(size * piece.rate for size, piece in zip(sizes, pieces, strict=True)) / 1319
    assert mean == pytest.approx(sum(point.rate or 0.0 for point in ordered) / 1319)
    assert [piece.rate for piece in pieces] == sorted(piece.rate for piece in pieces)


def test_groups_without_a_rate_are_not_drawn_at_zero() -> None:
    undefined = FrontierPoint(task="x", n=0, rate=None, state="unscored")
    assert undefined not in in_order([*points(5), undefined])
    page = Page(title="t", summary=(), frontier=(*points(5), undefined))
    assert "1 group without a scored attempt" in words(page)


def test_what_a_table_leaves_out_is_counted() -> None:
    said = words(huge_page())
    assert "4,800 further rows not shown" in said
    assert "2,760 further rows not shown" in said
    assert "2,960 further lessons of this level" in said


def test_several_policies_are_told_apart() -> None:
    other = [
        FrontierPoint(task=p.task, policy="other", n=p.n, rate=p.rate, state=p.state)
        for p in points(5)
    ]
    said = words(Page(title="t", summary=(), frontier=(*points(5), *other)))
    assert "Groups by policy and state" in said
    assert "cook-000 · other" in said


def test_huge_and_typical_pages_are_quick_and_small() -> None:
    render_page(rich_page())
    start = time.perf_counter()
    typical = render_page(rich_page())
    assert time.perf_counter() - start < 3
    assert len(typical) < 400_000
    assert len(render_page(huge_page())) < 1_500_000


def test_importing_the_page_loads_no_plotting() -> None:
    code = "import sys, twiceshy.evidence.page as p; print('matplotlib' in sys.modules, p.Page)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False")


def test_columns_of_numbers_are_set_as_numbers() -> None:
    rows = (("a", 1, "[0.1, 0.2]", "—"), ("b", None, "no interval", "x"))
    table = Table(title="T", columns=("name", "n", "interval", "reason"), rows=rows)
    report = Report(kind="k", title="R", summary=(), tables=(table,))
    text = render_page(Page(title="t", summary=(), reports=(report,)))
    heads = re.findall(r'<th scope="col"( class="num")?>(\w+)</th>', text)
    assert [name for numeric, name in heads if numeric] == ["n", "interval"]


def test_same_page_same_text() -> None:
    assert render_page(rich_page()) == render_page(rich_page())


def test_write_is_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    target.write_text("old")
    assert write_page(Page(title="New ✓", summary=()), target) == target
    assert "New ✓" in target.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(BadInput, match="a file that can be written"):
        write_page(Page(title="x", summary=()), tmp_path / "missing" / "report.html")
    with pytest.raises(BadInput, match="a file that can be written"):
        write_page(Page(title="x", summary=()), tmp_path)


def test_a_held_out_effect_that_repeats_the_mined_one_says_so() -> None:
    mined = Effect(estimate=0.3, low=0.2, high=0.4, n_attempts=90, n_tasks=30)
    always = Evidence(within_task=mined, held_out=mined, selection_frequency=1.0)
    often = msgspec.structs.replace(always, selection_frequency=0.9)
    other = msgspec.structs.replace(always, held_out=Effect(estimate=0.2, n_attempts=9, n_tasks=3))
    assert [each.repeats_mined for each in (always, often, other, Evidence())] == [
        True,
        False,
        False,
        False,
    ]
    pages = [
        render_page(
            Page(
                title="t",
                summary=("s",),
                lessons=(Lesson(id="x", kind="avoid", text="t", evidence=evidence),),
            )
        )
        for evidence in (always, often)
    ]
    assert ["the mined effect again" in page for page in pages] == [True, False]
    assert ["on tasks it was not mined from" in page for page in pages] == [False, True]
