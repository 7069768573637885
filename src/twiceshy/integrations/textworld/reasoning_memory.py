"""Does a memory of failures add to one of successes? ReasoningBank and MaTTS, ablated on text games.

The design, with what was fixed before the run, is in `experiments/reasoning-memory/README.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.integrations.textworld.reasoning.plan import Job, jobs_of
from twiceshy.integrations.textworld.reasoning.streams import Stream, run_stream
from twiceshy.training.studies.queue import read_result, work_off


def run_reasoning_memory(
    folder: Path,
    *,
    quick: bool = False,
    processes: int = 2,
    model: str = "",
    url: str = "",
    progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Run the streams that are still to be run, and report on all of them.

    Args:
        folder: Where results are kept; an interrupted run goes on from there.
        quick: A part that ends within three minutes, too small to show much.
        processes: Worker processes.
        model: Name of a language model that plays in place of the stochastic agent.
        url: Its OpenAI-compatible endpoint.
        progress: Called with (streams done, streams in all, name of the last one).

    Raises:
        BadInput: An endpoint without a model, or the model cannot be reached.
        MissingExtra: textworld is not installed.
    """
    if url and not model:
        raise BadInput("--model beside --model-url", fix="Name the model.")
    jobs = jobs_of(quick=quick, model=model, url=url)
    work_off(jobs, folder=folder, do=run_stream, processes=processes, progress=progress)
    return report_of(finished(jobs, folder), quick=quick)


def finished(jobs: list[Job], folder: Path) -> list[Stream]:
    """Return the results that are there."""
    found = [read_result(folder, job.name, Stream) for job in jobs]
    return [each for each in found if each is not None]


def report_of(streams: list[Stream], *, quick: bool) -> Report:
    """Return the report on streams."""
    raise NotImplementedError
