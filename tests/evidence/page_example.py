"""Pages to look at: a rich one and a huge one. The numbers are made up."""

from __future__ import annotations

import numpy as np

from twiceshy.attempts.types import Outcome
from twiceshy.evidence.page import (
    FrontierPoint,
    HeldOut,
    Measure,
    OutcomeCount,
    Page,
    Score,
    Trial,
    TrialArm,
)
from twiceshy.evidence.page.types import GroupState
from twiceshy.evidence.report import Alarm, Report, Table
from twiceshy.lessons import ContrastPair, Effect, Evidence, EvidenceLevel, Lesson, Status


def score(name: str, estimate: float, *, half: float, pooled: float | None = None) -> Score:
    beside = (
        None
        if pooled is None
        else Measure(name=name, estimate=pooled, low=pooled - 0.02, high=pooled + 0.02, n=1319)
    )
    low, high = estimate - half, estimate + half
    return Score(name=name, estimate=estimate, low=low, high=high, n=731, pooled=beside)


def points(n: int, *, attempts: int = 8, seed: int = 0) -> tuple[FrontierPoint, ...]:
    """Groups with a spread of difficulties and Wilson intervals."""
    rng = np.random.default_rng(seed)
    solved = rng.binomial(attempts, rng.beta(0.6, 0.7, size=n))
    rate, z = solved / attempts, 1.96
    middle = (rate + z * z / (2 * attempts)) / (1 + z * z / attempts)
    root = np.sqrt(rate * (1 - rate) / attempts + z * z / (4 * attempts**2))
    half = z * root / (1 + z * z / attempts)

    def state(count: int) -> GroupState:
        return "all_wrong" if count == 0 else ("all_right" if count == attempts else "mixed")

    return tuple(
        FrontierPoint(
            task=f"cook-{i:03d}",
            policy="cook-v2",
            n=attempts,
            rate=float(rate[i]),
            low=max(0.0, float(middle[i] - half[i])),
            high=min(1.0, float(middle[i] + half[i])),
            state=state(int(solved[i])),
        )
        for i in range(n)
    )


def effect(estimate: float, *, half: float, q: float | None = None) -> Effect:
    return Effect(
        estimate=estimate,
        low=estimate - half,
        high=estimate + half,
        p_value=None if q is None else q / 9,
        q_value=q,
        n_attempts=412,
        n_tasks=38,
    )


def lessons() -> tuple[Lesson, ...]:
    return (
        _never_used(),
        _short_is_good(),
        _told(),
        _refusal(),
        Lesson(
            id="5f0a11",
            kind="demonstration",
            text="To roast a potato and serve it: open the fridge, take it, roast it, serve it.",
            level=EvidenceLevel.DESCRIBED,
            evidence=Evidence(attempts_for=("a8812",), n_for=11, n_against=0, n_tasks=3),
            steps=("open fridge", "take raw potato", "cook potato with oven", "prepare meal"),
            flags=("The success did nothing that 7 of 9 failures did not do as well.",),
        ),
    )


def _never_used() -> Lesson:
    return Lesson(
        id="b4c01e",
        kind="avoid",
        text="Use every number the question gives: a number that is never used means failure.",
        pattern="dataflow.unused_input >= 1",
        vocabulary="worked-calculation/1",
        family="dataflow",
        trigger="a question states a quantity",
        action="leave a stated quantity out of every step",
        instead="name each stated quantity and say where it enters, or why it does not matter",
        why="the dropped quantity changes the total",
        scope={"domain": "arithmetic word problems", "policies": "6b, 175b"},
        level=EvidenceLevel.SUPPORTED_WITHIN_TASK,
        status=Status.SHADOW,
        evidence=Evidence(
            attempts_for=("a01f", "a02c", "a77b"),
            attempts_against=("a991",),
            n_for=1099,
            n_against=199,
            n_tasks=640,
            n_informative_tasks=402,
            failure_rate_with=0.847,
            failure_rate_without=0.546,
            pooled=effect(0.301, half=0.031),
            within_task=effect(0.284, half=0.044, q=0.0004),
            held_out=effect(0.263, half=0.05),
            n_tested=115,
            selection_frequency=1.0,
            adjusted_for_policy=True,
        ),
        contrast=(
            ContrastPair(
                task="gsm8k-0412",
                failure_id="6b_finetuning-0412",
                success_id="175b_verification-0412",
                failure_step=2,
                success_step=2,
                failure_text=(
                    "She sold 48 clips in April and half as many in May.\n"
                    "48 / 2 = <<48/2=24>>24 clips in May.\nShe sold 24 clips in all.\n#### 24"
                ),
                success_text=(
                    "She sold 48 clips in April and half as many in May.\n"
                    "48 / 2 = <<48/2=24>>24 clips in May.\n"
                    "48 + 24 = <<48+24=72>>72 clips in all.\n#### 72"
                ),
                ending="wrong answer",
            ),
        ),
    )


def _short_is_good() -> Lesson:
    return Lesson(
        id="77aa90",
        kind="strategy",
        text="Do not stop short: a solution under 120 characters fails more often.",
        pattern="length.characters < 120",
        family="length",
        level=EvidenceLevel.SUPPORTED_WITHIN_TASK,
        evidence=Evidence(
            n_for=180,
            n_against=331,
            n_tasks=298,
            n_informative_tasks=121,
            failure_rate_with=0.352,
            failure_rate_without=0.557,
            pooled=effect(-0.205, half=0.04),
            within_task=effect(0.120, half=0.105, q=0.046),
            n_tested=115,
            signs_differ=True,
            selection_frequency=0.52,
        ),
    )


def _told() -> Lesson:
    return Lesson(
        id="1d1d1d",
        kind="avoid",
        text="Read the recipe before the first cut.",
        instead="read the cookbook, then cut what it says, the way it says",
        level=EvidenceLevel.SUPPORTED_IN_TRIAL,
        status=Status.ACTIVE,
        author="human",
        evidence=Evidence(
            n_for=92,
            n_against=8,
            n_tasks=31,
            n_informative_tasks=27,
            within_task=effect(0.41, half=0.09, q=0.0001),
            held_out=effect(0.37, half=0.11),
            pooled=effect(0.44, half=0.07),
            n_tested=61,
        ),
        contrast=(
            ContrastPair(
                task="cook-017",
                failure_id="cook-017-s3",
                success_id="cook-017-s5",
                failure_step=6,
                success_step=6,
                failure_text="slice red potato with knife",
                success_text="dice red potato with knife",
                ending="lost",
            ),
            ContrastPair(
                task="cook-021",
                failure_id="cook-021-s1",
                success_id="cook-021-s2",
                failure_step=3,
                success_step=3,
                failure_text="cook carrot with stove",
                success_text="examine cookbook",
            ),
        ),
    )


def _refusal() -> Lesson:
    return Lesson(
        id="e3e3e3",
        kind="avoid",
        text="Search flights once the new date is known, not before the first update_flights call.",
        level=EvidenceLevel.SUGGESTED,
        author="model",
        evidence=Evidence(
            n_for=26,
            n_against=5,
            n_tasks=14,
            n_informative_tasks=6,
            failure_rate_with=0.84,
            failure_rate_without=0.53,
            within_task=Effect(
                estimate=2.08,
                low=0.31,
                high=3.9,
                scale="log_odds_ratio",
                p_value=0.0078,
                q_value=0.58,
                n_attempts=88,
                n_tasks=6,
            ),
            n_tested=245,
        ),
        contrast=(
            ContrastPair(
                task="33",
                failure_id="9f2c61aa03de44b1",
                success_id="02bb1d0c71e94f5a",
                failure_step=11,
                success_step=9,
                failure_text='update_reservation_flights({"reservation_id": "EHGLP3", "cabin": '
                '"economy", "payment_id": "certificate_7504069"})',
                success_text='cancel_reservation({"reservation_id": "EHGLP3"})',
                ending="stop",
            ),
        ),
    )


def held_out(n_null: int = 200) -> HeldOut:
    rng = np.random.default_rng(1)
    return HeldOut(
        auc=score("mined lessons, both sides", 0.700, half=0.026, pooled=0.659),
        null=tuple(float(value) for value in rng.normal(0.501, 0.021, n_null)),
        p_value=1 / (n_null + 1),
        arms=(
            score("failure side only", 0.714, half=0.023, pooled=0.688),
            score("success side only", 0.550, half=0.018, pooled=0.515),
            score("both sides", 0.700, half=0.026, pooled=0.659),
        ),
        baselines=(
            score("pooled miner", 0.684, half=0.025, pooled=0.763),
            score("hand-written check count", 0.671, half=0.025, pooled=0.701),
            score("oddness, no labels", 0.664, half=0.03, pooled=0.654),
            score("step count", 0.481, half=0.018, pooled=0.572),
        ),
        conclusion="Mining beats the hand-written checks by little: 0.700 against 0.671.",
    )


def trial() -> Trial:
    def arm(
        name: str, estimate: float, *, flips: tuple[int, int], placebo: bool = False
    ) -> TrialArm:
        return TrialArm(
            difference=Measure(
                name=name, estimate=estimate, low=estimate - 0.06, high=estimate + 0.06, n=48
            ),
            rate=Measure(
                name=name, estimate=0.5 + estimate, low=0.42 + estimate, high=0.58 + estimate, n=48
            ),
            wrong_to_right=flips[0],
            right_to_wrong=flips[1],
            is_placebo=placebo,
        )

    return Trial(
        arms=(
            arm("lessons, both", 0.14, flips=(61, 19)),
            arm("failure lessons only", 0.11, flips=(55, 23)),
            arm("success lessons only", 0.04, flips=(38, 26)),
            arm("equal-length placebo", -0.01, flips=(24, 27), placebo=True),
        ),
        n_seeds=3,
        conclusion="Telling the agent helps on these tasks; the placebo does not.",
    )


def rich_page(n_groups: int = 48) -> Page:
    return Page(
        title="What 384 attempts at 48 cooking games teach",
        summary=(
            "24 lessons hold on tasks they were not mined from, and one helped in a trial.",
            "Within-task AUC on held-out tasks is 0.700, above all 200 runs on shuffled labels.",
            "Seven attempts broke and are left out of every rate.",
        ),
        headline=(
            Measure(name="Success rate", estimate=0.472, low=0.398, high=0.547, n=48),
            Measure(name="Mixed tasks", estimate=0.604, low=0.463, high=0.73, n=48),
            Measure(name="Held-out within-task AUC", estimate=0.7, low=0.676, high=0.728, n=731),
            Measure(name="Likely lucky successes", estimate=None, n=0, note="no guess rate given"),
        ),
        alarms=(
            Alarm(
                name="Do-nothing passes",
                severity="warning",
                message="38 % of tasks pass when the agent changes nothing.",
                value=0.38,
                threshold=0.1,
                source="ours",
            ),
            Alarm(
                name="Answers repeat",
                severity="alarm",
                message="One wrong answer makes up most of the failures at 6 tasks.",
                value=0.81,
                threshold=0.5,
            ),
            Alarm(name="One policy", severity="info", message="All attempts are by cook-v2."),
        ),
        outcomes=(
            OutcomeCount(outcome=Outcome.SUCCESS, n=178),
            OutcomeCount(outcome=Outcome.FAILURE, n=187),
            OutcomeCount(outcome=Outcome.BROKEN, n=5, reason="stopped at the limit of 30 messages"),
            OutcomeCount(outcome=Outcome.BROKEN, n=2, reason="a tool crashed"),
            OutcomeCount(outcome=Outcome.UNSCORED, n=12, reason="no verdict in the log"),
        ),
        frontier=points(n_groups),
        lessons=lessons(),
        held_out=held_out(),
        trial=trial(),
        reports=(
            Report(
                kind="audit passk",
                title="pass@k and pass^k",
                summary=("pass^1 is 0.420 and pass^4 is 0.200 over 50 tasks.",),
                tables=(
                    Table(
                        title="pass@k and pass^k by k",
                        columns=("k", "pass@k", "pass^k", "95 % interval", "n tasks"),
                        rows=(
                            (1, 0.42, 0.42, "[0.310, 0.530]", 50),
                            (2, 0.567, 0.273, "[0.170, 0.380]", 50),
                            (3, 0.66, 0.22, "[0.120, 0.330]", 50),
                            (4, 0.72, None, "undefined", 0),
                        ),
                        note="Unbiased; intervals by bootstrap over tasks.",
                    ),
                ),
                numbers={"n_tasks": 50, "n_attempts": 200, "pass_hat_k": {"1": 0.42, "2": 0.273}},
                ok=False,
                manifest={"command": "audit passk", "seed": 0},
            ),
        ),
        manifest={
            "twiceshy": "0.1.0",
            "python": "3.11.7",
            "seed": 7,
            "inputs": [{"file": "runs/cooking.jsonl", "sha256": "9f2c61aa03de", "attempts": 384}],
            "counts": {"read": 384, "skipped": 0},
            "wall_seconds": 21.4,
        },
    )


def huge_page() -> Page:
    many = tuple(
        Lesson(id=f"l{i:05d}", kind="avoid", text=f"Pattern number {i} " + "very long " * 40)
        for i in range(3000)
    )
    return Page(
        title="Huge",
        summary=("Everything at once.",),
        frontier=points(250_000),
        lessons=many,
        outcomes=(OutcomeCount(outcome=Outcome.FAILURE, n=2_000_000),),
        held_out=held_out(2000),
        reports=(
            Report(
                kind="triage",
                title="Triage",
                summary=(),
                tables=(
                    Table(
                        title="Groups",
                        columns=tuple(f"column {j}" for j in range(40)),
                        rows=tuple(tuple(i * j for j in range(40)) for i in range(5000)),
                    ),
                ),
            ),
        ),
    )
