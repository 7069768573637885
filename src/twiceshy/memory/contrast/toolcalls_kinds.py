"""The kinds of event of tool-call logs, with their words.

What is called a fault here was named from general knowledge, not mined from labels.
"""

from __future__ import annotations

from twiceshy.memory.contrast.templates import Template, Templates

KINDS = Templates()


def _kind(
    name: str,
    family: str,
    *,
    when: str,
    doing: str,
    instead: str = "",
    why: str = "",
    fault: bool = False,
) -> Template:
    return KINDS.add(
        Template(
            name=name,
            family=family,
            trigger=when,
            action=doing,
            instead=instead,
            why=why,
            fault=fault,
        )
    )


NO_CALL = _kind("makes no call", "presence", when="in a run", doing="calling no tool")
NO_WRITE = _kind(
    "changes nothing", "presence", when="in a run", doing="making no successful change"
)
WRITES = _kind(
    "makes {k} or more changes", "presence", when="in a run", doing="making {k} or more changes"
)
CALLS = _kind("calls {tool}", "presence", when="in a run", doing="calling {tool}")
SUCCEEDS = _kind("succeeds in {tool}", "presence", when="in a run", doing="carrying out {tool}")
FIRST = _kind(
    "starts with {tool}", "presence", when="at the first call", doing="starting with {tool}"
)
LAST = _kind("ends with {tool}", "presence", when="at the last call", doing="ending with {tool}")

MANY_CALLS = _kind(
    "makes {k} or more calls", "length", when="in a run", doing="making {k} or more calls"
)
FEW_CALLS = _kind(
    "makes at most {k} calls", "length", when="in a run", doing="making at most {k} calls"
)
MANY_MESSAGES = _kind(
    "takes {k} or more messages", "length", when="in a run", doing="taking {k} or more messages"
)
FEW_MESSAGES = _kind(
    "takes fewer than {k} messages",
    "length",
    when="in a run",
    doing="taking fewer than {k} messages",
)
MANY_TURNS = _kind(
    "has {k} or more user turns",
    "length",
    when="in a conversation",
    doing="letting it go on for {k} or more user turns",
)
LONG_TEXTS = _kind(
    "writes {k} or more characters per message",
    "length",
    when="when writing to the user",
    doing="writing {k} or more characters per message",
)

OFTEN = _kind(
    "calls {tool} {k} times or more",
    "repetition",
    when="when {tool} was called before",
    doing="calling {tool} {k} times or more",
)
IDENTICAL = _kind(
    "repeats an identical call",
    "repetition",
    when="before a call",
    doing="making a call that was already made with the same arguments",
    instead="Use the reply you already have",
    fault=True,
)
IDENTICAL_TOOL = _kind(
    "repeats an identical call of {tool}",
    "repetition",
    when="before calling {tool}",
    doing="calling {tool} again with the same arguments",
    instead="Use the reply you already have",
    fault=True,
)
WRITES_TWICE = _kind(
    "carries out {tool} more than once",
    "repetition",
    when="after {tool} succeeded",
    doing="carrying out {tool} again",
)

BEFORE = _kind(
    "calls {first} before the first {then}",
    "order",
    when="before {then}",
    doing="calling {first} first",
)
WITHOUT = _kind(
    "calls {then} without {first} before it",
    "order",
    when="before {then}",
    doing="calling {then} without having called {first}",
    instead="Call {first} before {then}",
)
DIRECTLY = _kind(
    "calls {then} directly after {first}",
    "order",
    when="after {first}",
    doing="calling {then} next",
)

ERROR = _kind(
    "gets an error", "error", when="in a run", doing="making a call that fails", fault=True
)
ERRORS = _kind(
    "gets {k} or more errors",
    "error",
    when="after an error",
    doing="running into {k} or more errors",
    fault=True,
)
ERROR_OF = _kind(
    "gets an error from {tool}",
    "error",
    when="when calling {tool}",
    doing="making a call that fails",
    instead="Check the arguments of {tool} before calling it",
    fault=True,
)
ERRORS_OF = _kind(
    "gets {k} or more errors from {tool}",
    "error",
    when="after an error of {tool}",
    doing="running into errors of {tool} again",
    instead="Find out what was wrong before calling {tool} again",
    fault=True,
)
ERROR_KIND = _kind(
    "gets the error '{error}' from {tool}",
    "error",
    when="when calling {tool}",
    doing="running into the error '{error}'",
    fault=True,
)
RETRY = _kind(
    "retries a failed call unchanged",
    "error",
    when="after a failed call",
    doing="making the same call again",
    instead="Change what the error complains about, or stop",
    fault=True,
)
AFTER_ERROR = _kind(
    "calls {tool} right after an error",
    "error",
    when="after a failed call",
    doing="calling {tool} next",
)
STOPS_AFTER_ERROR = _kind(
    "makes no call after an error",
    "error",
    when="after a failed call",
    doing="making no further call",
)
TALKS_AFTER_ERROR = _kind(
    "turns to the user right after an error",
    "error",
    when="after a failed call",
    doing="turning to the user",
)

UNSEEN = _kind(
    "calls {tool} with a {argument} seen nowhere before",
    "argument",
    when="before calling {tool}",
    doing="passing a {argument} that neither the user nor a tool gave",
    instead="Look the {argument} up or ask for it",
    why="it may be made up",
    fault=True,
)
WITH_VALUE = _kind(
    "calls {tool} with {argument} = {value}",
    "argument",
    when="when calling {tool}",
    doing="setting {argument} to {value}",
)
CHANGE = _kind("calls {tool}, {change}", "argument", when="when calling {tool}", doing="{change}")
NOT_LOOKED_UP = _kind(
    "calls {tool} on a record it has not looked up",
    "argument",
    when="before calling {tool}",
    doing="acting on a record without looking it up",
    instead="Look the record up before {tool}",
    why="its state decides what is allowed",
    fault=True,
)

SITUATION = _kind(
    "calls {tool} when {field} = {value}",
    "situation",
    when="when {field} = {value}",
    doing="calling {tool}",
)
SITUATION_PAIR = _kind(
    "calls {tool} when {field} = {value} and {field2} = {value2}",
    "situation",
    when="when {field} = {value} and {field2} = {value2}",
    doing="calling {tool}",
)
SITUATION_CHANGE = _kind(
    "calls {tool}, {change}, when {field} = {value}",
    "situation",
    when="when {field} = {value}",
    doing="calling {tool}, {change}",
)

REFUSES = _kind(
    "refuses at least once",
    "conversation",
    when="when a request may not be allowed",
    doing="refusing",
)
REFUSES_OFTEN = _kind(
    "refuses {k} times or more",
    "conversation",
    when="after a refusal",
    doing="refusing {k} times or more",
)
REFUSES_THEN = _kind(
    "refuses, then the user {reaction}",
    "conversation",
    when="when the user {reaction} after a refusal",
    doing="refusing",
)
REFUSES_THEN_CALLS = _kind(
    "refuses, later calls {tool}",
    "conversation",
    when="after a refusal",
    doing="calling {tool} all the same",
)
USER = _kind(
    "the user {reaction}", "conversation", when="when the user {reaction}", doing="going on"
)
USER_OFTEN = _kind(
    "the user {reaction} {k} times or more",
    "conversation",
    when="when the user {reaction} {k} times or more",
    doing="going on",
)
USER_THEN = _kind(
    "the user {reaction}, the next call is {tool}",
    "conversation",
    when="when the user {reaction}",
    doing="calling {tool} next",
)
ASKS_CONFIRMATION = _kind(
    "asks for confirmation", "conversation", when="before a change", doing="asking for confirmation"
)
ASKS_OFTEN = _kind(
    "asks for confirmation {k} times or more",
    "conversation",
    when="before a change",
    doing="asking for confirmation {k} times or more",
)
ASKS_FIRST = _kind(
    "asks a question before any call",
    "conversation",
    when="at the start",
    doing="asking before calling a tool",
)
UNAFFIRMED = _kind(
    "makes a change the user has not said yes to",
    "conversation",
    when="before a change",
    doing="making a change without a yes in the user's last message",
    instead="Say what will change and wait for a yes",
    fault=True,
)
UNAFFIRMED_TOOL = _kind(
    "calls {tool}, the user has not said yes",
    "conversation",
    when="before calling {tool}",
    doing="calling {tool} without a yes in the user's last message",
    instead="Say what will change and wait for a yes",
    fault=True,
)
SEVERAL_WRITES = _kind(
    "makes several changes in one user turn",
    "conversation",
    when="after one message of the user",
    doing="making several changes",
    instead="Make one change, say so, and ask before the next",
)
LONG_RUN = _kind(
    "makes {k} or more calls without turning to the user",
    "conversation",
    when="between two messages of the user",
    doing="making {k} or more calls",
)
TEXT_AND_CALL = _kind(
    "writes text and calls a tool in one message",
    "conversation",
    when="when calling a tool",
    doing="writing to the user in the same message",
)
