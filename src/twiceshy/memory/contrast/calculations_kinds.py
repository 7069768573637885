"""The kinds of event of worked calculations, with their words.

What is called a fault here was named from general knowledge, not mined from labels.
"""

from __future__ import annotations

from twiceshy.memory.contrast.templates import Template, Templates

KINDS = Templates()

SHORT_TEXT, LONG_TEXT = 120, 500
FEW_COUNT, MANY_COUNT, VERY_MANY_COUNT = 2, 4, 6

UNUSED_ONE = KINDS.add(
    Template(
        name="a number of the question is never used",
        family="dataflow",
        trigger="when the question gives several numbers",
        action="leaving a number of the question out of every calculation",
        instead="Go through the numbers of the question and use each, or say why not",
        why="a number that is given is usually needed",
        fault=True,
    )
)
UNUSED_TWO = KINDS.add(
    Template(
        name="two or more numbers of the question are never used",
        family="dataflow",
        trigger="when the question gives several numbers",
        action="leaving two or more numbers of the question out of every calculation",
        instead="Go through the numbers of the question and use each, or say why not",
        why="numbers that are given are usually needed",
        fault=True,
    )
)
UNUSED_RESULT = KINDS.add(
    Template(
        name="an intermediate result is never used",
        family="dataflow",
        trigger="when a step computes something",
        action="computing a result and not using it later",
        instead="Carry each intermediate result into a later step, or drop the step",
        why="a result left hanging usually means that a step is missing",
        fault=True,
    )
)
NOT_LAST = KINDS.add(
    Template(
        name="the answer is not the last computed result",
        family="dataflow",
        trigger="when giving the final answer",
        action="answering with something other than the last computed result",
        instead="Compute the answer in the last step and give that result",
        why="the calculation and the answer have come apart",
        fault=True,
    )
)
NOT_COMPUTED = KINDS.add(
    Template(
        name="the answer is never computed",
        family="dataflow",
        trigger="when giving the final answer",
        action="answering with a number no step computed",
        instead="Compute the answer in the last step and give that result",
        why="nothing supports the answer",
        fault=True,
    )
)
IS_GIVEN = KINDS.add(
    Template(
        name="the answer is a number of the question",
        family="dataflow",
        trigger="when giving the final answer",
        action="answering with a number the question already gave",
        instead="Check what is asked for; it is rarely a number that was given",
        fault=True,
    )
)
NO_ANSWER = KINDS.add(
    Template(
        name="there is no final answer",
        family="dataflow",
        trigger="at the end",
        action="stopping without a final answer",
        instead="End with the answer",
        fault=True,
    )
)
FROM_NOWHERE = KINDS.add(
    Template(
        name="a number comes from nowhere",
        family="dataflow",
        trigger="when writing a step",
        action="calculating with a number that is neither given nor computed",
        instead="Use only numbers that the question gives or a step computed",
        why="a made-up number makes everything after it wrong",
        fault=True,
    )
)
NEGATIVE = KINDS.add(
    Template(
        name="an intermediate result is negative",
        family="range",
        trigger="when subtracting",
        action="going on with a negative intermediate result",
        instead="Check the order of the subtraction when a result is below zero",
        why="quantities of things are rarely negative",
        fault=True,
    )
)
FRACTIONAL = KINDS.add(
    Template(
        name="an intermediate result is not an integer",
        family="range",
        trigger="when dividing",
        action="going on with an intermediate result that is not a whole number",
        instead="Check the step that leaves whole numbers before going on",
        fault=True,
    )
)
NEGATIVE_ANSWER = KINDS.add(
    Template(
        name="the answer is negative",
        family="range",
        trigger="when giving the final answer",
        action="answering with a negative number",
        instead="Check the order of the last subtraction",
        fault=True,
    )
)
FRACTIONAL_ANSWER = KINDS.add(
    Template(
        name="the answer is not an integer",
        family="range",
        trigger="when giving the final answer",
        action="answering with a number that is not whole",
        instead="Check whether the question counts whole things",
        why="true of data whose answers are all integers; it is not a law of mathematics",
        fault=True,
    )
)
MALFORMED = KINDS.add(
    Template(
        name="a calculation is malformed",
        family="arithmetic",
        trigger="when writing a calculation",
        action="writing a calculation that is not arithmetic",
        instead="Write each step as numbers and operators only",
        fault=True,
    )
)
WRONG = KINDS.add(
    Template(
        name="a calculation is wrong",
        family="arithmetic",
        trigger="when stating the result of a calculation",
        action="stating a result the expression does not give",
        instead="Compute each step again",
        fault=True,
    )
)
REPEATED = KINDS.add(
    Template(
        name="the same calculation is made twice",
        family="repetition",
        trigger="when writing a step",
        action="making a calculation that was already made",
        instead="Use the earlier result",
        fault=True,
    )
)
SAME_RESULT = KINDS.add(
    Template(
        name="two different calculations give the same result",
        family="repetition",
        trigger="when writing a step",
        action="arriving at a result that was already there by another calculation",
    )
)
AT_MOST_ONE = KINDS.add(
    Template(
        name="at most one step",
        family="steps",
        trigger="when the question gives several numbers",
        action="answering after at most one calculation",
        instead="Write one step for each quantity the question describes",
        why="questions in words usually need several steps",
        fault=True,
    )
)
FEWER = KINDS.add(
    Template(
        name="fewer steps than the median attempt at the task",
        family="steps",
        trigger="when other attempts at the same question take more steps",
        action="taking fewer steps than usual for the question",
        instead="Check whether a quantity was skipped",
        fault=True,
    )
)
MORE = KINDS.add(
    Template(
        name="more steps than the median attempt at the task",
        family="steps",
        trigger="when other attempts at the same question take fewer steps",
        action="taking more steps than usual for the question",
    )
)
FEW_STEPS = KINDS.add(
    Template(
        name=f"at most {FEW_COUNT} steps",
        family="length",
        trigger="in a worked solution",
        action=f"taking at most {FEW_COUNT} steps",
    )
)
MANY_STEPS = KINDS.add(
    Template(
        name="at least {k} steps",
        family="length",
        trigger="in a worked solution",
        action="taking at least {k} steps",
    )
)
SHORT = KINDS.add(
    Template(
        name=f"shorter than {SHORT_TEXT} characters",
        family="length",
        trigger="in a worked solution",
        action=f"writing fewer than {SHORT_TEXT} characters",
    )
)
LONG = KINDS.add(
    Template(
        name=f"longer than {LONG_TEXT} characters",
        family="length",
        trigger="in a worked solution",
        action=f"writing more than {LONG_TEXT} characters",
    )
)
USES = KINDS.add(
    Template(
        name="uses {operation}",
        family="operators",
        trigger="in a worked solution",
        action="using {operation}",
    )
)
ONLY = KINDS.add(
    Template(
        name="uses no operation but {operation}",
        family="operators",
        trigger="in a worked solution",
        action="using no operation but {operation}",
    )
)
ALL_FOUR = KINDS.add(
    Template(
        name="uses all four operations",
        family="operators",
        trigger="in a worked solution",
        action="using all four operations",
    )
)
NEVER_WITH_CUE = KINDS.add(
    Template(
        name="never uses {operation}, the question says '{cue}'",
        family="situation",
        trigger="when the question says '{cue}'",
        action="never using {operation}",
        instead="Check whether '{cue}' asks for {operation}",
    )
)
PLAIN_PERCENT = KINDS.add(
    Template(
        name="uses a percentage as a plain number",
        family="situation",
        trigger="when the question gives a percentage",
        action="calculating with the percentage without dividing it by 100",
        instead="Turn the percentage into a fraction of 100 first",
        fault=True,
    )
)
