"""Checks before and after: the published pattern is refused, shortness alone is not."""

from __future__ import annotations

import pytest

from twiceshy.attempts import Attempt, Outcome, Verdict
from twiceshy.attempts.lexicons import Lexicon
from twiceshy.distillation.check import Policies, check_gap, check_traces, collapse_alarm
from twiceshy.distillation.check.features import ENTROPIES
from twiceshy.errors import BadInput

N = 20
DOUBTFUL = "so the sum is four but wait maybe that is not right let me check it again"
SURE = "so the sum is four and that is the end of it"


def said(
    task: int, text: str, *, right: bool | None = True, entropies: list[float] | None = None
) -> Attempt:
    outcome = {True: Outcome.SUCCESS, False: Outcome.FAILURE, None: Outcome.UNSCORED}[right]
    extra = {} if entropies is None else {ENTROPIES: entropies}
    return Attempt(
        task=str(task), id=f"{task}", answer=text, verdict=Verdict(outcome=outcome), extra=extra
    )


def each(text: str, *, times: int = 1, n: int = N) -> list[Attempt]:
    return [said(i, " ".join([text] * (times + i % 3))) for i in range(n)]


OWN = each(DOUBTFUL, times=6)


def signal(report: object, name: str) -> dict[str, float | None]:
    return report.numbers["signals"][name]  # pyrefly: ignore


def test_short_and_sure_traces_are_refused() -> None:
    report = check_traces(each(SURE), OWN)
    assert not report.ok
    assert report.summary[0].startswith("Refused")
    assert {alarm.name for alarm in report.alarms} == {"marker density fell", "length fell"}
    assert len(report.numbers["flagged"]) == N


def test_shortness_alone_is_only_noted() -> None:
    report = check_traces(each(DOUBTFUL), OWN)
    assert report.ok
    assert [(alarm.name, alarm.severity) for alarm in report.alarms] == [("length fell", "info")]
    assert report.summary[0].startswith("No sign")
    density = signal(report, "marker density")
    assert density["value"] == pytest.approx(1.0)


def test_sureness_at_equal_length_warns() -> None:
    report = check_traces(each(SURE, times=14), OWN)
    assert report.ok
    assert [(alarm.name, alarm.severity) for alarm in report.alarms] == [
        ("marker density fell", "warning")
    ]
    assert report.numbers["flagged"] == []


def test_the_same_traces_raise_nothing() -> None:
    report = check_traces(OWN, OWN)
    assert report.ok
    assert not report.alarms
    assert signal(report, "length")["value"] == pytest.approx(1.0)


def test_density_ratio_by_hand() -> None:
    own = [said(0, "wait and so on"), said(1, "maybe this")]  # 2 markers, 6 words
    other = [said(0, "wait " + "so " * 11), said(1, "none at all")]  # 1 marker, 15 words
    report = check_traces(other, own, language="en")
    assert signal(report, "marker density")["value"] == pytest.approx((1 / 15) / (2 / 6))
    assert report.ok  # two tasks refuse nothing


def test_one_marker_among_many_words_is_too_rare_to_judge() -> None:
    own = [*each(SURE, n=N - 1), said(N - 1, f"{SURE} maybe")]  # one marker in all
    report = check_traces(each(SURE), own)
    density = signal(report, "marker density")
    assert (density["value"], density["low"], density["high"]) == (0.0, None, None)
    assert not report.alarms
    assert any("fewer than 20 markers" in line for line in report.summary)
    often = [said(i, f"{SURE} maybe") for i in range(N)]  # twenty
    assert {alarm.name for alarm in check_traces(each(SURE), often).alarms} == {
        "marker density fell"
    }


def test_traces_from_tasks_that_ask_for_no_doubt_are_warned_of() -> None:
    easy = [said(100 + i, f"{SURE} maybe " + "so " * (i % 5)) for i in range(N)]
    own = [*OWN, *easy]
    report = check_traces(easy, own)
    assert signal(report, "marker density")["value"] == pytest.approx(1.0)
    whole = signal(report, "marker density over all tasks")
    words_easy, words_hard = (
        sum(13 + i % 5 for i in range(N)),
        sum(17 * (6 + i % 3) for i in range(N)),
    )
    markers_hard = sum(4 * (6 + i % 3) for i in range(N))  # wait, maybe, not right, check
    expected = (N / words_easy) / ((N + markers_hard) / (words_easy + words_hard))
    assert whole["value"] == pytest.approx(expected)
    assert report.ok
    assert [(a.name, a.severity) for a in report.alarms] == [
        ("marker density over all tasks fell", "warning")
    ]
    assert "easier tasks" in report.summary[0]
    assert signal(check_traces(own, own), "marker density over all tasks")["value"] is None
    surer = check_traces(
        [*each(SURE, times=14), *easy], [*own, *[said(200 + i, DOUBTFUL) for i in range(N)]]
    )
    assert {a.name for a in surer.alarms} == {"marker density fell"}


def test_only_right_traces_count_and_the_others_are_counted() -> None:
    wrong = [said(i, SURE, right=False) for i in range(N)]
    unjudged = [said(i, SURE, right=None) for i in range(N)]
    report = check_traces([*OWN, *wrong, *unjudged], [*OWN, *wrong])
    assert not report.alarms
    assert report.numbers["n_candidates"] == 3 * N
    assert report.numbers["n_candidates_right"] == N


def test_forks_are_measured_against_the_bases_threshold() -> None:
    own = [said(i, DOUBTFUL, entropies=[0.1 * k for k in range(10)]) for i in range(N)]
    calm = [said(i, SURE, entropies=[0.1] * 10) for i in range(N)]
    report = check_traces(calm, own)
    assert signal(report, "fork rate")["value"] == 0.0
    assert "fork rate fell" in {alarm.name for alarm in report.alarms}
    assert not report.ok


def test_nothing_in_common_is_undefined_and_not_fine() -> None:
    none: list[Attempt] = []
    for candidates, own in ((none, none), (OWN, none), ([said(99, SURE)], OWN)):
        report = check_traces(candidates, own)
        assert "n = 0" in report.summary[0]
        assert all(each["value"] is None for each in report.numbers["signals"].values())


def test_a_language_without_a_lexicon_leaves_markers_unmeasured() -> None:
    own, other = each("xq zz vv kk ww yy", times=5), each("xq zz", times=1)
    report = check_traces(other, own)
    assert report.numbers["language"] is None
    assert signal(report, "marker density")["value"] is None
    assert any("No lexicon" in line for line in report.summary)
    assert report.ok  # length alone refuses nothing
    mine = Lexicon(language="mine", phrases={"backtrack": ("zz",)})
    assert signal(check_traces(other, own, language=mine), "marker density")["value"] is not None
    with pytest.raises(BadInput, match="lexicon"):
        check_traces(other, own, language="xx")


def test_empty_traces_are_counted() -> None:
    report = check_traces([said(i, "") for i in range(N)], OWN, language="en")
    assert report.numbers["n_candidates_empty"] == N
    assert signal(report, "marker density")["value"] is None


def test_entropies_that_are_none_are_refused() -> None:
    bad = [said(0, SURE, entropies=[-1.0])]
    with pytest.raises(BadInput, match="token_entropies"):
        check_traces(bad, OWN)


def rate(share: float, *, n: int = 40) -> list[Attempt]:
    return [said(i, SURE, right=i < share * n) for i in range(n)]


def test_the_gap_before_training() -> None:
    better = check_gap(rate(0.3), rate(0.8))
    assert better.ok
    assert not better.alarms
    assert better.numbers["gap"]["difference"] == pytest.approx(0.5)
    assert better.numbers["flips"]["wrong_to_right"] == pytest.approx(0.5)
    worse = check_gap(rate(0.8), rate(0.3))
    assert not worse.ok
    none = check_gap(rate(0.5), rate(0.5))
    assert none.ok
    assert [alarm.severity for alarm in none.alarms] == ["warning"]
    nothing = check_gap([], rate(0.5))
    assert "n = 0" in nothing.summary[0]


def after(student: str, *, right: float, entropies: list[float] | None = None) -> list[Attempt]:
    return [said(i, student, right=i < right * N, entropies=entropies) for i in range(N)]


def test_one_signal_is_a_note_and_three_are_an_alarm() -> None:
    long, short = DOUBTFUL * 3, " ".join(SURE.split()[:4])
    base, elsewhere = tuple(after(long, right=1.0)), tuple(after(long, right=0.8))
    same = collapse_alarm(
        Policies(base=base, student=base, base_elsewhere=elsewhere, student_elsewhere=elsewhere)
    )
    assert same.numbers["n_fell"] == 0
    assert same.ok
    shorter = collapse_alarm(
        Policies(
            base=base,
            student=tuple(after(short, right=1.0)),
            base_elsewhere=elsewhere,
            student_elsewhere=elsewhere,
        )
    )
    assert shorter.ok
    assert shorter.summary[0].startswith("No alarm, but a note: 1 of")
    collapsed = collapse_alarm(
        Policies(
            base=base,
            student=tuple(after(short, right=1.0)),
            base_elsewhere=elsewhere,
            student_elsewhere=tuple(after(short, right=0.1)),
        )
    )
    assert not collapsed.ok
    assert collapsed.numbers["n_fell"] >= 3
    assert collapsed.numbers["signals"]["fork rate"]["state"] == "not measured"


def test_an_alarm_that_cannot_sound_says_so() -> None:
    nothing = collapse_alarm(Policies(base=(), student=(), base_elsewhere=(), student_elsewhere=()))
    assert nothing.summary[0].startswith("The alarm could not have sounded")
    assert nothing.numbers["n_measured"] == 0
