"""`twiceshy report`: render the page of an earlier study again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from twiceshy.cli.inputs import AsJson
from twiceshy.cli.output import show
from twiceshy.cli.study import PAGE, PAGE_DATA, read_page
from twiceshy.errors import BadInput
from twiceshy.evidence.page import write_page
from twiceshy.evidence.report import Report


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `twiceshy learn` wrote.")] = Path(
        "twiceshy-report"
    ),
    as_json: AsJson = False,
) -> None:
    """Render report.html from a study's data, for example after an upgrade."""
    data = folder / PAGE_DATA
    try:
        page = read_page(data)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInput(
            "the data of a study",
            got=str(error),
            where=str(data),
            fix="Run twiceshy learn --out FOLDER first.",
        ) from error
    written = write_page(page, folder / PAGE)
    done = Report(
        kind="report",
        title=page.title,
        summary=(f"Rendered {page.title!r} again.",),
        numbers={"page": str(written), "n_lessons": len(page.lessons)},
    )
    show(done, as_json=as_json, details=written)
