"""The command line: one file per verb, each of which parses, calls one function and renders."""

from __future__ import annotations


def main() -> None:
    """Run `twiceshy`. Errors the user can mend are printed without a traceback; exit code 2."""
    from twiceshy.cli.app import run

    run()
