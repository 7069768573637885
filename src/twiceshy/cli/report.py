"""`twiceshy report`: render the page of an earlier study again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from twiceshy.cli.output import console
from twiceshy.cli.study import PAGE, PAGE_DATA, read_page
from twiceshy.errors import BadInput
from twiceshy.evidence.page import write_page


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `twiceshy learn` wrote.")] = Path(
        "twiceshy-report"
    ),
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
    console.print(f"Wrote {write_page(page, folder / PAGE)}", markup=False)
