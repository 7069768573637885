"""Checks on a set of attempts, each a function from attempts to a `Report`."""

from twiceshy.evidence.audits.collapse import audit_collapse
from twiceshy.evidence.audits.passk import audit_passk
from twiceshy.evidence.audits.shortcuts import audit_shortcuts

__all__ = ["audit_collapse", "audit_passk", "audit_shortcuts"]
