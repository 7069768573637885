"""Into prompts: principles that a model draws from its own mistakes, with gates.

    found = leap(model, examples)                      # err, say why, condense; nothing accepted
    gated = accept(found.low, Bench(executor, …))      # what may be told to this executor
    question_prompt(example, block=gated.block)

`steps.StepFile` keeps every call, so that a run can be looked at and goes on after a kill.
"""

from twiceshy.principles.asking import Asker, Spent
from twiceshy.principles.condensing import Change, Condensed, by_delta, by_groups
from twiceshy.principles.controls import filler, irrelevant
from twiceshy.principles.copying import Copied, CopyGuard
from twiceshy.principles.cost import Planned, calls_of, plan
from twiceshy.principles.examples import ExamplesRead, read_examples
from twiceshy.principles.executor import Executor, judge, value_of
from twiceshy.principles.gates import Bench, Candidate, Gate, Gated, Ruling, Verdict, accept
from twiceshy.principles.learning import LearnedPrinciples, learn_principles
from twiceshy.principles.lessons import accepted_on, mistakes_of, principle
from twiceshy.principles.metrics import AnswerMatch, read_answer
from twiceshy.principles.pool import Pooled, summarise
from twiceshy.principles.procedure import (
    Induced,
    Leap,
    LeapConfig,
    high_level,
    induce,
    leap,
    low_level,
    success_only,
)
from twiceshy.principles.prompting import pair_block, principle_block, question_prompt
from twiceshy.principles.similar import Retrieval, by_cause
from twiceshy.principles.splits import Locked, Splits, Tested, split
from twiceshy.principles.steps import Step, StepFile
from twiceshy.principles.types import Answer, Example, Metric, Mistake, Scored, example

__all__ = [
    "Answer",
    "AnswerMatch",
    "Asker",
    "Bench",
    "Candidate",
    "Change",
    "Condensed",
    "Copied",
    "CopyGuard",
    "Example",
    "ExamplesRead",
    "Executor",
    "Gate",
    "Gated",
    "Induced",
    "Leap",
    "LeapConfig",
    "LearnedPrinciples",
    "Locked",
    "Metric",
    "Mistake",
    "Planned",
    "Pooled",
    "Retrieval",
    "Ruling",
    "Scored",
    "Spent",
    "Splits",
    "Step",
    "StepFile",
    "Tested",
    "Verdict",
    "accept",
    "accepted_on",
    "by_cause",
    "by_delta",
    "by_groups",
    "calls_of",
    "example",
    "filler",
    "high_level",
    "induce",
    "irrelevant",
    "judge",
    "leap",
    "learn_principles",
    "low_level",
    "mistakes_of",
    "pair_block",
    "plan",
    "principle",
    "principle_block",
    "question_prompt",
    "read_answer",
    "read_examples",
    "split",
    "success_only",
    "summarise",
    "value_of",
]
