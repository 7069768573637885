"""Does a memory of failures add to one of successes? ReasoningBank and MaTTS on text games.

The design, with what was fixed before the run, is in `experiments/reasoning-memory/README.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from twiceshy.errors import BadInput
from twiceshy.evidence.report import Report
from twiceshy.evidence.result_files import write_result
from twiceshy.integrations.textworld.reasoning.plan import FULL, QUICK, Job, jobs_of
from twiceshy.integrations.textworld.reasoning.plot import draw
from twiceshy.integrations.textworld.reasoning.report import report_of
from twiceshy.integrations.textworld.reasoning.streams import Stream, run_stream
from twiceshy.training.studies.queue import read_result, work_off


def run_reasoning_memory(
    folder: Path,
    *,
    quick: bool = False,
    processes: int = 2,
    model: str = "",
    url: str = "",
    only_report: bool = False,
    progress: Callable[[int, int, str], None] | None = None,
) -> Report:
    """Run the streams that are still to be run, and report on all of them.

    Writes result.json, result.md and plot.png into the folder.

    Args:
        folder: Where results are kept; an interrupted run goes on from there.
        quick: A part that ends within three minutes, too small to show much.
        processes: Worker processes.
        model: Name of a language model that plays in place of the stochastic agent.
        url: Its OpenAI-compatible endpoint.
        only_report: Run nothing.
        progress: Called with (streams done, streams in all, name of the last one).

    Raises:
        BadInput: An endpoint without a model, the model cannot be reached, or there is nothing to
            report.
        MissingExtra: textworld is not installed.
    """
    if url and not model:
        raise BadInput("--model beside --model-url", fix="Name the model.")
    jobs = jobs_of(quick=quick, model=model, url=url)
    if not only_report:
        work_off(jobs, folder=folder, do=run_stream, processes=processes, progress=progress)
    streams = _finished(jobs, folder)
    if not streams:
        raise BadInput("at least one finished stream", got="none", where=str(folder))
    size = QUICK if quick else FULL
    report = report_of(streams, size=size, n_jobs=len(jobs))
    _write(report, streams, folder, last=size.n_rounds)
    return report


def _finished(jobs: list[Job], folder: Path) -> list[Stream]:
    found = [read_result(folder, job.name, Stream) for job in jobs]
    return [each for each in found if each is not None]


def _write(report: Report, streams: list[Stream], folder: Path, *, last: int) -> None:
    write_result(report, folder)
    draw(streams, folder / "plot.png", last=last)
