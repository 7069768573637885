"""Attempts this project made itself, shipped with it so that the demo needs nothing else.

A stochastic agent played TextWorld's cooking games (`integrations.textworld`); the script is
`experiments/demo_attempts/make.py`. Gzipped JSONL, one record a line:

- `train`: attempts at training games, without lessons;
- `held_out`: attempts without lessons at games that were not mined: new games of the same kind
  ("near"), with more ingredients ("more_food"), with more rooms ("more_rooms"; `extra["set"]`);
- `lessons`: what was mined from `train`;
- `trial`: a paired trial of those lessons on the held-out games. `extra["arm"]` is none, placebo,
  success_only, failure_only or both; attempts with the same task and trial are paired.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Literal, get_args

from twiceshy.errors import BadInput

DemoName = Literal["train", "held_out", "lessons", "trial"]


def demo_path(name: DemoName) -> Path:
    """Return the path of a shipped file.

    Raises:
        BadInput: There is no such file.

    Example:
        >>> demo_path("train").name
        'train.jsonl.gz'
    """
    if name not in get_args(DemoName):
        raise BadInput(f"one of {', '.join(get_args(DemoName))}", got=repr(name))
    path = Path(str(files(__name__) / f"{name}.jsonl.gz"))
    if not path.is_file():
        raise BadInput("the demo's data in the installed package", got=f"no {path}")
    return path
