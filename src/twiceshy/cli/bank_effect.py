"""`twiceshy bank effect`: does the memory help, and which lesson does?"""

from __future__ import annotations

from typing import Annotated

import typer

from twiceshy.cli import inputs
from twiceshy.cli.bank import DEFAULT, BankPath
from twiceshy.cli.output import show
from twiceshy.cli.provenance import with_manifest
from twiceshy.errors import BadInput


def effect(
    bank: BankPath = DEFAULT,
    lesson: Annotated[
        str | None, typer.Option("--lesson", metavar="ID", help="Only this lesson.")
    ] = None,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Only runs of this model or agent.")
    ] = None,
    level: Annotated[
        float, typer.Option("--level", help="Confidence of each interval, over all looks.")
    ] = 0.95,
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Say how many tasks each question would need, and stop."),
    ] = False,
    seed: inputs.Seed = 0,
    as_json: inputs.AsJson = False,
) -> None:
    """Say what showing lessons does to success, from runs in which a coin decided.

    Points are P(success) when shown minus when not, adjusted for how hard the tasks are. Looking
    often is not cheating: an interval holds at all looks together.
    """
    from twiceshy.memory.bank import Bank
    from twiceshy.memory.trials import effect as effect_of
    from twiceshy.memory.trials.report import effect_report, plan_report

    if plan and lesson is not None:
        raise BadInput("--plan or --lesson", got="both", fix="Leave one out.")
    with (
        with_manifest([str(bank)], policy=policy) as stamp,
        Bank.open(bank, must_exist=True, read_only=True) as opened,
    ):
        if plan:
            report = plan_report(opened, policy=policy, seed=seed)
        else:
            report = effect_report(effect_of(opened, lesson_id=lesson, policy=policy, level=level))
    show(stamp(report), as_json=as_json)
