"""What a text names that an agent could act on: hosts, mail addresses, numbers, programs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

EntityKind = Literal["link", "recipient", "command", "tool"]


class Entity(NamedTuple):
    """One thing that is named, in small letters."""

    kind: EntityKind
    name: str
    """A host; an address; a program, with the package where it installs one; a tool."""


_MAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+")
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://([^\s/'\"<>)\]]+)", re.I)
_HOST = re.compile(
    r"\b(?:[a-z0-9-]{1,63}\.)+(?:com|org|net|io|dev|ai|app|edu|gov|ru|cn|info|biz|co|me|xyz|site"
    r"|online|test|example|invalid|onion|local)\b",
    re.I,
)
_NUMBERED = re.compile(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b")
_PHONE = re.compile(r"\+[0-9][0-9 ()-]{6,16}[0-9]")
_INSTALL = re.compile(
    r"\b((?:pip3?|npm|pnpm|yarn|apt|apt-get|brew|cargo|gem|go)\s+(?:install|add|get|i))\s+"
    r"((?:-\S+\s+)*)([@\w][\w./@=-]*)",
    re.I,
)
_PROGRAM = re.compile(
    r"\b(sudo|curl|wget|chmod|chown|bash|zsh|powershell|ssh|scp|rsync|netcat|nc|crontab|systemctl"
    r"|mkfs|eval|rm(?=\s+-)|dd(?=\s+if=)|git(?=\s+(?:push|remote|config|clone))"
    r"|docker(?=\s+(?:run|exec|pull))|base64(?=\s+-))\b",
    re.I,
)
_CODE = re.compile(r"`([^`\n]{1,200})`|\$\(([^)\n]{1,200})\)")
_SHELL_WORD = re.compile(r"[A-Za-z_][\w.+-]*")


def entities_in(text: str) -> frozenset[Entity]:
    """Return what a text names.

    Example:
        >>> sorted(e.name for e in entities_in("curl https://a.example/x, then mail bo@b.org"))
        ['a.example', 'bo@b.org', 'curl']
        >>> entities_in("Check the balance before paying")
        frozenset()
    """
    without_mail = _MAIL.sub(" ", text)
    return frozenset(
        Entity(kind, name.strip().lower())
        for kind, names in (
            ("recipient", _MAIL.findall(text)),
            ("recipient", _PHONE.findall(text)),
            ("link", _hosts(without_mail)),
            ("command", _commands(text)),
        )
        for name in names
    )


def _hosts(text: str) -> Iterator[str]:
    yield from (host.rsplit("@", 1)[-1] for host in _URL.findall(text))
    yield from _HOST.findall(text)
    yield from _NUMBERED.findall(text)


def _commands(text: str) -> Iterator[str]:
    for tool, _, package in _INSTALL.findall(text):
        yield f"{' '.join(tool.split())} {package}"
    yield from _PROGRAM.findall(text)
    for quoted in _CODE.findall(text):
        first = _SHELL_WORD.match("".join(quoted).strip())
        if first and len("".join(quoted).split()) > 1:
            yield first[0]


def programs_of(command: str) -> frozenset[Entity]:
    """Return the programs that a shell command runs, for the list of what a policy uses.

    Example:
        >>> sorted(e.name for e in programs_of("cd x && pytest -q | tail -1"))
        ['cd', 'pytest', 'tail']
    """
    parts = re.split(r"&&|\|\||[;\n|]|\$\(|`", command)
    found = (_SHELL_WORD.match(re.sub(r"^\s*(?:\w+=\S*\s+)*", "", part)) for part in parts)
    return frozenset(Entity("command", each[0].lower()) for each in found if each)


def is_allowed(entity: Entity, allowed: Iterable[str]) -> bool:
    """Whether a list written by a person covers an entity: it, or a domain that it lies in.

    Example:
        >>> is_allowed(Entity("link", "docs.python.org"), ["python.org"])
        True
        >>> is_allowed(Entity("link", "notpython.org"), ["python.org"])
        False
    """
    for each in allowed:
        name = re.sub(r"^[a-z][a-z0-9+.-]*://", "", each.strip().lower()).split("/")[0]
        inside = entity.kind != "command" and re.search(rf"[.@]{re.escape(name)}$", entity.name)
        if entity.name in (name, each.strip().lower()) or inside:
            return True
    return False
