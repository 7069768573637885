"""What can go wrong, and who can put it right.

Three ideas:

1. `TwiceshyError` is the base of every error this package raises on purpose. Its text says what was
   expected, what came, where, and what to do. The command line prints it without a traceback and
   exits with code 2.
2. Subclasses also inherit the standard exception they refine, so `except ValueError` still works.
3. A record that cannot be read is *not* an exception. Readers yield it as data
   (`attempts.Unreadable`) and go on; the summary counts it.

To add an error: subclass `TwiceshyError` and the nearest built-in exception, give it one line of
docstring, and raise it through `expected=...`, `got=...`, `where=...`, `fix=...`.
"""

from __future__ import annotations


class TwiceshyError(Exception):
    """Base of all errors raised on purpose; the message is meant for the user.

    Args:
        expected: What should have come, as a phrase ("a reward of 0 or 1").
        got: What came instead ("0.5").
        where: The place, as `file:line`, an option name or a field path.
        fix: What to do about it, as an imperative sentence.

    Example:
        >>> str(BadInput("a reward of 0 or 1", got="0.5", where="a.jsonl:3", fix="Say more."))
        'a.jsonl:3: expected a reward of 0 or 1, got 0.5. Say more.'
    """

    def __init__(self, expected: str, *, got: str = "", where: str = "", fix: str = "") -> None:
        super().__init__(expected, got, where, fix)
        self.expected = expected
        self.got = got
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        came = f", got {self.got}" if self.got else ""
        return f"{place}expected {self.expected}{came}." + (f" {self.fix}" if self.fix else "")

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.expected, self.got, self.where, self.fix))


def _rebuild(
    cls: type[TwiceshyError], expected: str, got: str, where: str, fix: str
) -> TwiceshyError:
    return cls(expected, got=got, where=where, fix=fix)


class BadInput(TwiceshyError, ValueError):
    """A file, an option or an argument that cannot be used as given."""


class MissingExtra(TwiceshyError, ImportError):
    """A feature needs an optional dependency that is not installed."""


def missing_extra(feature: str, extra: str) -> MissingExtra:
    """Return the error that names the install line for an optional dependency.

    Example:
        >>> print(missing_extra("reading logs", "inspect"))
        expected the optional dependency for reading logs. Run: pip install "twiceshy[inspect]"
    """
    return MissingExtra(
        f"the optional dependency for {feature}", fix=f'Run: pip install "twiceshy[{extra}]"'
    )
