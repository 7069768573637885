"""`twiceshy bank`: what is in a bank of lessons, and what it is worth."""

from __future__ import annotations

import typer

from twiceshy.cli import bank_effect

app = typer.Typer(
    help="A bank of lessons: what is in it, and what it is worth.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.callback()(lambda: None)
app.command("effect", short_help="Does the memory help, and which lesson does?")(bank_effect.effect)
