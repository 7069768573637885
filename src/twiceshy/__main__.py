"""`python -m twiceshy`: the command line, where its script is not on the path."""

from __future__ import annotations

from twiceshy.cli import main

main()
