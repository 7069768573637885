"""Read attempts from any mix of logs: each file by its own reader, lazily, with a full account."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from twiceshy.attempts.classify import Rule, classify
from twiceshy.attempts.outcomes import OutcomeTable, load_outcomes
from twiceshy.attempts.readers import READERS, Reader, ReadOptions
from twiceshy.attempts.readers.parquet import is_parquet
from twiceshy.attempts.readers.table import checked_mapping, column_names
from twiceshy.attempts.sealing import Sealer
from twiceshy.attempts.sources import FileSource, expand
from twiceshy.attempts.summary import FileSummary, ImportSummary, Skipped, Tally
from twiceshy.attempts.types import Attempt, Unreadable
from twiceshy.errors import BadInput, TwiceshyError

Progress = Callable[[int, int, int], None]
"""Called with bytes done, bytes in all, attempts read."""

_PROGRESS_EVERY = 256
_MAY_BE_WRITTEN = "The file ends inside it: it was cut, or is still being written. Read it again."


class Reading:
    """A lazy iterable of sealed attempts, with an account of what was read.

    Each iteration reads the files anew. `summary` is the account of the latest one, at any point.
    Made by `read_attempts`.
    """

    def __init__(
        self,
        files: Sequence[Path],
        options: ReadOptions,
        *,
        reader: Reader | None = None,
        outcomes: OutcomeTable | None = None,
        rules: Sequence[Rule] = (),
        progress: Progress | None = None,
    ) -> None:
        self._files = tuple(files)
        self._options = options
        self._reader = reader
        self._outcomes = outcomes
        self._rules = tuple(rules)
        self._progress = progress
        self._tally = Tally()
        self._sealer = Sealer()

    @property
    def summary(self) -> ImportSummary:
        """The account so far: of everything once the iteration has ended."""
        return self._tally.snapshot(
            n_duplicates=self._sealer.n_duplicates,
            n_conflicting=self._sealer.n_conflicting,
            join=self._outcomes.summary() if self._outcomes is not None else None,
        )

    def __iter__(self) -> Iterator[Attempt]:
        outcomes = self._outcomes
        if outcomes is not None:
            outcomes.start()
            if outcomes.needs_counts:
                for attempt, _ in self._sealed(report=False):
                    outcomes.count(attempt)
        for attempt, format in self._sealed(report=True):
            if outcomes is not None:
                attempt = outcomes.join(attempt)
            attempt = self._classified(attempt, format=format)
            self._tally.add(attempt, format=format)
            yield attempt

    def _sealed(self, *, report: bool) -> Iterator[tuple[Attempt, str]]:
        """Yield every attempt once, with its format, and count what is not given out."""
        self._tally, self._sealer = Tally(), Sealer()
        sizes = [_size(path) for path in self._files]
        done = 0
        for path, size in zip(self._files, sizes, strict=True):
            try:
                source = FileSource(path)
            except BadInput as error:
                self._tally.skipped.append(Skipped(str(path), str(error)))
                continue
            for n_read, sealed in enumerate(self._sealed_of(source), start=1):
                yield sealed
                if report and n_read % _PROGRESS_EVERY == 0:
                    self._tell(done + source.bytes_read, sum(sizes))
            done += size
            if report:
                self._tell(done, sum(sizes))

    def _tell(self, n_done: int, n_all: int) -> None:
        if self._progress is not None:
            self._progress(n_done, n_all, self._tally.n_attempts)

    def _sealed_of(self, source: FileSource) -> Iterator[tuple[Attempt, str]]:
        tally = self._tally
        try:
            reader = self._reader or _recognise(source, mapping=self._options.mapping)
        except TwiceshyError as error:
            tally.skipped.append(Skipped(source.label, str(error)))
            return
        if reader is None:
            tally.skipped.append(Skipped(source.label, _why_not(source)))
            return
        self._sealer.next_file()
        n_attempts = n_duplicates = 0
        n_unreadable_before = tally.n_unreadable
        for record in _guarded(reader, source, options=self._options):
            sealed = self._seal(record, source=source)
            if sealed is not None:
                n_attempts += 1
                yield sealed, reader.name
            elif isinstance(record, Attempt):
                n_duplicates += 1
        n_unreadable = tally.n_unreadable - n_unreadable_before
        note = _note(source, n_records=n_attempts + n_duplicates + n_unreadable)
        tally.files.append(
            FileSummary(
                file=source.label,
                format=reader.name,
                n_attempts=n_attempts,
                n_unreadable=n_unreadable,
                note=note,
            )
        )

    def _seal(self, record: Attempt | Unreadable, *, source: FileSource) -> Attempt | None:
        if isinstance(record, Attempt):
            try:
                return self._sealer.seal(record)
            except BadInput as error:
                place = record.provenance
                record = Unreadable(
                    f"{place.file}:{place.line}", error.expected, error.got, error.fix
                )
        self._tally.add_unreadable(_with_reason(record, source=source))
        return None

    def _classified(self, attempt: Attempt, *, format: str) -> Attempt:
        try:
            return classify(attempt, self._rules, typed=format != "own")
        except Exception as error:
            raise BadInput(
                "rules that return a reason or None",
                got=f"{type(error).__name__}: {error}",
                where=f"the rule, on {attempt.provenance.file}:{attempt.provenance.line}",
                fix="Make the rule accept every attempt, or leave it out.",
            ) from error


def read_attempts(
    paths: str | Path | Iterable[str | Path],
    *,
    format: str | None = None,
    mapping: Mapping[str, str] | None = None,
    outcomes: str | Path | None = None,
    threshold: float | None = None,
    policy: str | None = None,
    rules: Sequence[Rule] = (),
    progress: Progress | None = None,
) -> Reading:
    r"""Return the attempts in files, folders and globs, to be read as they are iterated over.

    Args:
        paths: One path or several.
        format: Name of the reader for all files; found out file by file when left out.
        mapping: Our field to the log's column, for tables.
        outcomes: A second file with outcomes to join.
        threshold: A reward at or above it is a success. Left out, only 0 and 1 are judgements.
        policy: Name of the policy where the log gives none.
        rules: The user's own rules: functions from an attempt to the reason why it is broken.
        progress: Called now and then with bytes done, bytes in all and attempts read.

    Raises:
        BadInput: When a path matches nothing, the format is unknown, or the mapping or the outcomes
            file cannot be used. Bad content in a log raises nothing: it is in `Reading.summary`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "runs.csv")
        ...     _ = path.write_text("question,correct\n2 + 2?,yes\n2 + 2?,no\n")
        ...     reading = read_attempts(path, mapping={"task": "question", "success": "correct"})
        ...     outcomes = [attempt.outcome.value for attempt in reading]
        >>> outcomes, reading.summary.n_tasks
        (['success', 'failure'], 1)
    """
    files = expand([paths] if isinstance(paths, str | Path) else paths)
    checked_mapping(mapping or {})
    if threshold is not None and math.isnan(threshold):
        raise BadInput(
            "a number", got="nan", where="--threshold", fix="Write for example --threshold 0.5"
        )
    options = ReadOptions(threshold=threshold, policy=policy, mapping=mapping or {})
    return Reading(
        files,
        options,
        reader=_named(format) if format is not None else None,
        outcomes=load_outcomes(outcomes, threshold=threshold) if outcomes is not None else None,
        rules=rules,
        progress=progress,
    )


def _named(format: str) -> Reader:
    names = {reader.name: reader for reader in READERS}
    if format in names:
        return names[format]
    near = difflib.get_close_matches(format, names, n=1)
    raise BadInput(
        f"a format among {', '.join(names)}",
        got=repr(format),
        where="--format",
        fix=f"Did you mean {near[0]}?" if near else "Leave it out to have it found out.",
    )


def _recognise(source: FileSource, *, mapping: Mapping[str, str]) -> Reader | None:
    if not source.head.strip():
        return None
    if "task" in mapping:
        return _named("table")
    return next((reader for reader in READERS if reader.matches(source)), None)


def _why_not(source: FileSource) -> str:
    if source.size == 0:
        return "the file is empty"
    if not source.head:
        return "its compressed data is damaged from the start"
    if not source.head.strip():
        return "the file holds only blank lines"
    columns = column_names(source)
    if columns and (b"\0" not in source.head or is_parquet(source)):
        names = (name if len(name) <= 40 else f"{name[:39]}…" for name in columns[:8])
        shown = ", ".join(names) + (", …" if len(columns) > 8 else "")
        return f"no reader knows its columns ({shown}); say what they are with --map"
    if b"\0" in source.head:
        return "it is binary data of no known format"
    begin = source.head[:40].decode("utf-8", "replace").split("\n")[0]
    return f"no reader recognises it (it begins {begin!r}); name one with --format or use --map"


def _guarded(
    reader: Reader, source: FileSource, *, options: ReadOptions
) -> Iterator[Attempt | Unreadable]:
    """Yield what the reader yields; when it raises, report that and end the file."""
    records = reader.read(source, options)
    while True:
        try:
            record = next(records, None)
        except TwiceshyError as error:
            yield Unreadable(error.where or source.label, error.expected, error.got, error.fix)
            break
        except Exception as error:  # noqa: BLE001 - reader boundary: recorded as unreadable
            got = f"{type(error).__name__}: {error}"[:200]
            yield Unreadable(source.label, f"a {reader.name} log", got, "Check --format.")
            break
        if record is None:
            break
        yield record
    yield from source.faults
    source.faults.clear()


def _with_reason(record: Unreadable, *, source: FileSource) -> Unreadable:
    last = source.unterminated_line
    at_the_end = last is not None and record.where == f"{source.label}:{last}"
    if at_the_end or ("truncated" in record.got.lower() and source.ends_inside_json):
        return record._replace(fix=_MAY_BE_WRITTEN)
    return record


def _note(source: FileSource, *, n_records: int) -> str:
    if source.has_grown:
        return f"it grew while it was read; only its first {source.size:,} bytes were"
    return "" if n_records else "no records in it"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
