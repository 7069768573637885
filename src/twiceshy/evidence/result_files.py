"""A report as the files that a study leaves: Markdown to read, JSON with its figures."""

from __future__ import annotations

from pathlib import Path

import msgspec

from twiceshy.evidence.report import Report, Table
from twiceshy.files import write_whole


def markdown(report: Report, *, written_by: str = "run.py") -> str:
    """Return a report as Markdown: title, summary, tables.

    Args:
        report: What was found.
        written_by: The script that is named as its writer.

    Example:
        >>> rates = Table(title="Rates", columns=("arm", "rate"), rows=(("none", None),))
        >>> text = markdown(Report(kind="k", title="T", summary=("One.",), tables=(rates,)))
        >>> text.splitlines()[:5]
        ['# T', '', 'Written by `run.py`.', '', '- One.']
    """
    head = [f"# {report.title}", "", f"Written by `{written_by}`.", ""]
    head += [f"- {line}" for line in report.summary]
    return "\n".join([*head, *(markdown_table(table) for table in report.tables)]) + "\n"


def markdown_table(table: Table) -> str:
    r"""Return a table as Markdown under its title; what is undefined is left empty.

    Example:
        >>> print(markdown_table(Table(title="Rates", columns=("a|b", "n"), rows=(("x", None),))))
        <BLANKLINE>
        ## Rates
        <BLANKLINE>
        | a\|b | n |
        | --- | --- |
        | x |  |
    """
    rows = [table.columns, ["---"] * len(table.columns), *table.rows]
    lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    note = ["", table.note] if table.note else []
    return "\n".join(["", f"## {table.title}", "", *lines, *note])


def write_result(report: Report, folder: Path) -> None:
    """Write result.md, and result.json without the tables and without how long it took.

    Args:
        report: What was found; its numbers hold what the tables show.
        folder: Where the two files go.
    """
    kept = msgspec.to_builtins(report)
    kept.pop("tables", None)
    kept.get("manifest", {}).pop("wall_seconds", None)
    body = msgspec.json.format(msgspec.json.encode(kept), indent=1)
    write_whole(folder / "result.json", body + b"\n")
    write_whole(folder / "result.md", markdown(report).encode())


def _cell(value: str | int | float | bool | None) -> str:
    return "" if value is None else str(value).replace("|", "\\|")
