"""Secrets taken out of text before anything stores it or a model sees it.

The rules are those of `detect-secrets` (extra `secrets`), with long mixed tokens and mail addresses
beside. Without the extra only these two are known, and `scrubber()` says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache, lru_cache
from typing import Literal, NamedTuple, Protocol

HIDDEN = "[hidden]"
Scrubber = Literal["detect-secrets", "built-in patterns"]

_TOKEN = re.compile(
    r"\b(?=[\w-]{0,99}[0-9])(?=[\w-]{0,99}[A-Za-z])[\w-]{20,}\b"
    r"|[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+"
)
_GUESSES = frozenset({"Base64HighEntropyString", "HexHighEntropyString", "IPPublicDetector"})
"""Detectors that guess by entropy, or take any public address for a secret."""


class _Detector(Protocol):
    def analyze_string(self, string: str) -> Iterator[str]: ...


class Scrubbed(NamedTuple):
    """Text without its secrets."""

    text: str
    n_hidden: int


def scrubber() -> Scrubber:
    """Return which rules are at hand."""
    return "detect-secrets" if _detectors() else "built-in patterns"


@cache
def _detectors() -> tuple[_Detector, ...]:
    try:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    except ImportError:
        return ()
    classes = get_mapping_from_secret_type_to_class().values()
    return tuple(each() for each in classes if each.__name__ not in _GUESSES)


def scrub(text: str, *, keep: Collection[str] = ()) -> Scrubbed:
    """Return the text with every secret replaced by "[hidden]".

    Args:
        text: Any text.
        keep: What is known to be no secret, such as a public mail address.

    Example:
        >>> scrub("mail ann@example.org, token sk-abcdefgh12345678ijkl").text
        'mail [hidden], token [hidden]'
        >>> scrub("nothing here").n_hidden
        0
    """
    n_hidden = 0
    for secret in sorted(_secrets(text) - set(keep), key=lambda each: (-len(each), each)):
        n_hidden += text.count(secret)
        text = text.replace(secret, HIDDEN)
    return Scrubbed(text, n_hidden)


@lru_cache(maxsize=4096)
def _secrets(text: str) -> frozenset[str]:
    """Return what to hide; remembered, because prompts and lessons repeat the same steps."""
    found = {match.group() for match in _TOKEN.finditer(text)}
    for detector in _detectors():
        for line in text.splitlines():
            found.update(each for each in detector.analyze_string(line) if len(each) > 3)
    return frozenset(found)
