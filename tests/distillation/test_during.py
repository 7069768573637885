"""A student watched in training: numbers by hand, and what must not sound."""

from __future__ import annotations

import numpy as np
import pytest

from twiceshy.attempts import Attempt, Outcome, Verdict
from twiceshy.attempts.lexicons import Lexicon
from twiceshy.distillation.check.during import Base, Watch, base_of, described
from twiceshy.distillation.check.features import Trace
from twiceshy.distillation.check.signals import MIN_TASKS, SIGNALS_FOR_ALARM
from twiceshy.errors import BadInput

DOUBTFUL = "so that is it but wait maybe not let me check that the sum of it is four"
SURE = "so that is it and the sum of it is four and that is the end of it for us"
GREEK = "ἐν ἀρχῇ ἦν ὁ λόγος καὶ ὁ λόγος ἦν πρὸς τὸν θεόν"
FORKED, FLAT = [0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0, 0.0]


def one(
    task: int,
    text: str,
    *,
    length: int = 20,
    entropies: list[float] | None = None,
    cut: bool = False,
) -> Trace:
    verdict = Verdict(outcome=Outcome.UNSCORED)
    attempt = Attempt(task=str(task), verdict=verdict, answer=text, truncated=cut)
    return Trace(attempt, length, None, None if entropies is None else np.array(entropies))


def batch(
    text: str, *, length: int = 20, entropies: list[float] | None = FORKED, n: int = 20
) -> list[Trace]:
    return [one(i, text, length=length + i % 2, entropies=entropies) for i in range(n)]


def heard(watch: Watch, traces: list[Trace]) -> dict[str, str]:
    return {alarm.name: alarm.severity for alarm in watch.see(traces).alarms}


def begun(**options: object) -> Watch:
    watch = Watch(**{"n_base": 1, "window": 1, **options})  # pyrefly: ignore
    watch.see(batch(DOUBTFUL))
    return watch


def test_a_batch_by_hand() -> None:
    watch = Watch(n_base=1)
    texts = [one(1, DOUBTFUL, length=20, entropies=FORKED), one(1, "", length=0, entropies=[])]
    texts.append(one(2, DOUBTFUL, length=13, entropies=[5.0], cut=True))
    seen = watch.see(texts).metrics
    assert (seen["n"], seen["n_tasks"], seen["n_empty"], seen["n_cut"]) == (3, 2, 1, 1)
    assert (seen["length"], seen["median_length"]) == (11, 13)
    assert seen["markers"] == pytest.approx(1000 * 6 / 33)  # wait, maybe, check; twice
    assert seen["markers/doubt"] == pytest.approx(1000 * 2 / 33)
    assert seen["markers/abstain"] == 0
    assert seen["forks"] == pytest.approx(1 / 6)  # the 0.8 quantile of 0 1 2 3 4 5 is 4
    assert seen["entropy"] == pytest.approx(15 / 6)


def test_the_fork_threshold_is_the_bases_own_quantile() -> None:
    base = base_of(batch(DOUBTFUL))
    assert base.fork_threshold == pytest.approx(3.2)
    assert [sample.n_forks for sample in base.samples] == [1] * 20


def test_three_signals_together_are_an_alarm() -> None:
    watch = begun()
    seen = watch.see(batch(SURE, length=10, entropies=FLAT))
    assert {alarm.severity for alarm in seen.alarms} == {"alarm"}
    assert len(seen.alarms) == SIGNALS_FOR_ALARM == seen.metrics["n_fell"]
    assert seen.metrics["length_ratio"] == pytest.approx(10.5 / 20.5)
    assert seen.metrics["marker_density_ratio"] == 0
    assert seen.metrics["fork_rate_ratio"] == 0
    assert seen.metrics["n_tasks_base"] == seen.metrics["n_tasks_window"] == 20


def test_one_signal_is_a_note_and_two_are_a_warning() -> None:
    watch = begun()
    assert heard(watch, batch(DOUBTFUL)) == {}
    # as many markers a token, in half the tokens: every second text is doubtful
    short = [one(i, (SURE, DOUBTFUL)[i % 2], length=10, entropies=FORKED) for i in range(20)]
    assert heard(watch, short) == {"length": "info"}
    assert heard(watch, batch(SURE, entropies=FLAT)) == {
        "marker density": "warning",
        "fork rate": "warning",
    }


def test_a_window_forgets_and_the_base_does_not() -> None:
    watch = begun(window=2)
    fell = batch(SURE, length=10, entropies=FLAT)
    assert len(heard(watch, fell)) == 3
    first = watch.base
    assert watch.see(batch(DOUBTFUL)).metrics["length_ratio"] == pytest.approx((10.5 + 20.5) / 41)
    assert watch.see(batch(DOUBTFUL)).metrics["length_ratio"] == 1
    assert watch.base is first


def test_the_base_is_the_first_batches_that_hold_something() -> None:
    watch = Watch(n_base=2, window=1)
    empty = watch.see([]).metrics
    assert empty["n"] == 0
    assert {empty[name] for name in ("length", "markers", "markers/doubt", "forks")} == {None}
    early = watch.see(batch(DOUBTFUL)).metrics
    assert early["markers"] is not None
    assert early["forks"] is None  # no threshold yet
    assert watch.base is None
    assert "length_ratio" not in watch.see(batch(DOUBTFUL)).metrics
    assert watch.base is not None
    assert len(watch.base.samples) == 40
    assert watch.see([]).metrics["n"] == 0
    assert watch.see(batch(DOUBTFUL)).metrics["length_ratio"] == 1


def test_few_tasks_are_shown_and_decide_nothing() -> None:
    few = MIN_TASKS - 1
    watch = begun()
    traces = [one(i % few, SURE, length=9 + i % 3, entropies=FLAT) for i in range(70)]
    seen = watch.see(traces)
    assert seen.metrics["length_ratio"] == pytest.approx(10 / 20.5, rel=0.02)
    assert seen.metrics["length_ratio_low"] is None
    assert seen.metrics["n_measured"] == 3
    assert seen.alarms == ()
    assert len(heard(watch, [*traces, one(99, SURE, length=10, entropies=FLAT)])) == 3


def test_a_language_without_a_lexicon_is_said_not_counted() -> None:
    watch = Watch(n_base=1)
    assert watch.see(batch(GREEK)).metrics["markers"] is None
    seen = watch.see(batch(GREEK, length=10, entropies=FLAT))
    assert seen.metrics["marker_density_ratio"] is None
    assert seen.metrics["n_measured"] == 2
    assert [(alarm.name, alarm.severity) for alarm in seen.alarms] == [
        ("no lexicon", "info"),
        ("length", "warning"),
        ("fork rate", "warning"),
    ]
    assert len(watch.see(batch(GREEK, length=10, entropies=FLAT)).alarms) == 2  # said once
    with pytest.raises(BadInput, match="a language with a lexicon"):
        Watch(language="el")


def test_a_lexicon_of_ones_own_and_a_category_it_lacks() -> None:
    own = Lexicon(language="own", phrases={"doubt": ("λόγος",)})
    seen = Watch(n_base=1, language=own).see([one(1, GREEK, length=10)]).metrics
    assert seen["markers"] == seen["markers/doubt"] == 200
    assert seen["markers/backtrack"] is None


def test_without_entropies_there_is_never_an_alarm() -> None:
    watch = Watch(n_base=1)
    watch.see(batch(DOUBTFUL, entropies=None))
    seen = watch.see(batch(SURE, length=10, entropies=None))
    assert {alarm.name: alarm.severity for alarm in seen.alarms} == {
        "no entropies": "info",
        "length": "warning",
        "marker density": "warning",
    }
    assert seen.metrics["forks"] is None
    assert seen.metrics["entropy"] is None
    assert seen.metrics["fork_rate_ratio"] is None


def test_a_base_without_markers_cannot_lose_any() -> None:
    watch = Watch(n_base=1)
    watch.see(batch(SURE))
    seen = watch.see(batch(SURE))
    assert seen.metrics["marker_density_ratio"] is None
    assert [alarm.name for alarm in seen.alarms] == ["few markers"]


def test_a_base_with_few_markers_or_forks_is_shown_and_not_judged() -> None:
    watch = Watch(n_base=1, language="en")
    watch.see(batch(DOUBTFUL, n=6) + batch(SURE, n=13)[6:])  # 6 · 3 markers, 13 forks
    seen = watch.see(batch(SURE, entropies=FLAT))
    assert seen.metrics["marker_density_ratio"] == seen.metrics["fork_rate_ratio"] == 0
    assert seen.metrics["n_measured"] == 3
    assert [(alarm.name, alarm.severity) for alarm in seen.alarms] == [
        ("few markers", "info"),
        ("few forks", "info"),
    ]


def test_nothing_to_divide_by() -> None:
    base = Base(samples=(), lexicon=None, fork_threshold=None)
    watch = Watch(base=base)
    seen = watch.see([one(1, "", length=0)]).metrics
    assert (seen["length"], seen["markers"], seen["length_ratio"]) == (0, None, None)
    assert described(())["n"] == 0


def test_bad_input() -> None:
    with pytest.raises(BadInput, match="at least one attempt of the base"):
        base_of([])
    with pytest.raises(BadInput, match="n_base and window"):
        Watch(n_base=0)
    with pytest.raises(BadInput, match="n_base and window"):
        Watch(window=0)


def drawn(rng: np.random.Generator, *, length: float, density: float, high: float) -> list[Trace]:
    """A batch of 32 new tasks, two texts each; lengths differ by task and by text."""
    traces = []
    for task in rng.integers(0, 10**9, 32):
        mean = length * rng.lognormal(0, 0.4)
        for _ in range(2):
            n = max(5, int(mean * rng.lognormal(0, 0.3)))
            text = "wait " * rng.poisson(n * density) + "so"
            traces.append(
                one(task, text, length=n, entropies=(rng.random(n) ** (1 / high)).tolist())
            )
    return traces


def test_noise_is_quiet_and_a_collapse_is_heard_within_a_window() -> None:
    rng = np.random.default_rng(5)
    watch = Watch(n_base=4, window=4, language="en")
    usual = {"length": 200.0, "density": 0.02, "high": 1.0}
    severities = [
        alarm.severity for _ in range(14) for alarm in watch.see(drawn(rng, **usual)).alarms
    ]
    assert severities == []
    fallen = {"length": 80.0, "density": 0.01, "high": 0.5}
    heard = [watch.see(drawn(rng, **fallen)) for _ in range(4)]
    assert heard[0].metrics["n_fell"] != 3  # three of four batches are still the old ones
    assert [alarm.severity for alarm in heard[-1].alarms] == ["alarm"] * 3
    assert heard[-1].metrics["length_ratio"] == pytest.approx(0.4, abs=0.1)
