"""Which failures teach: group states, solve rates, luck, value, dead groups, alarms, triage.

    from twiceshy.frontier import triage, write_triage

Names load on first use, all but `triage`: its module has the same name, and only a name bound here
is sure to be the function. It needs numpy, and no scipy or DuckDB before it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twiceshy.frontier.triage import triage as triage
from twiceshy.lazy import lazy_names

if TYPE_CHECKING:
    from twiceshy.frontier.advice import Advice as Advice
    from twiceshy.frontier.dead import DeadGroup as DeadGroup
    from twiceshy.frontier.dead import DeadKind as DeadKind
    from twiceshy.frontier.dead import classify_dead as classify_dead
    from twiceshy.frontier.groups import STATES as STATES
    from twiceshy.frontier.groups import GroupState as GroupState
    from twiceshy.frontier.groups import Tallies as Tallies
    from twiceshy.frontier.groups import group_states as group_states
    from twiceshy.frontier.groups import tally_attempts as tally_attempts
    from twiceshy.frontier.ledger import Posterior as Posterior
    from twiceshy.frontier.ledger import SolveRateLedger as SolveRateLedger
    from twiceshy.frontier.ledger import TaskStatus as TaskStatus
    from twiceshy.frontier.luck import chance_tail as chance_tail
    from twiceshy.frontier.luck import lucky_share as lucky_share
    from twiceshy.frontier.luck import p_lucky as p_lucky
    from twiceshy.frontier.luck import undeserved_rate as undeserved_rate
    from twiceshy.frontier.rates import chance_of_contrast as chance_of_contrast
    from twiceshy.frontier.rates import jeffreys_interval as jeffreys_interval
    from twiceshy.frontier.rates import probability_in_band as probability_in_band
    from twiceshy.frontier.tally import rows_to_count as rows_to_count
    from twiceshy.frontier.tally import tally_file as tally_file
    from twiceshy.frontier.triage import TriageResult as TriageResult
    from twiceshy.frontier.undeserved import UndeservedRate as UndeservedRate
    from twiceshy.frontier.undeserved import estimate_p0 as estimate_p0
    from twiceshy.frontier.undeserved import guess_rate as guess_rate
    from twiceshy.frontier.value import failure_value as failure_value
    from twiceshy.frontier.value import value_of_failures as value_of_failures
    from twiceshy.frontier.write import write_triage as write_triage

_HOME = {
    "Advice": "advice",
    "DeadGroup": "dead",
    "DeadKind": "dead",
    "classify_dead": "dead",
    "GroupState": "groups",
    "STATES": "groups",
    "Tallies": "groups",
    "group_states": "groups",
    "tally_attempts": "groups",
    "Posterior": "ledger",
    "SolveRateLedger": "ledger",
    "TaskStatus": "ledger",
    "chance_tail": "luck",
    "lucky_share": "luck",
    "p_lucky": "luck",
    "undeserved_rate": "luck",
    "chance_of_contrast": "rates",
    "jeffreys_interval": "rates",
    "probability_in_band": "rates",
    "rows_to_count": "tally",
    "tally_file": "tally",
    "TriageResult": "triage",
    "UndeservedRate": "undeserved",
    "estimate_p0": "undeserved",
    "guess_rate": "undeserved",
    "failure_value": "value",
    "value_of_failures": "value",
    "write_triage": "write",
}

__all__ = sorted([*_HOME, "triage"])  # pyrefly: ignore

__getattr__, __dir__ = lazy_names(__name__, _HOME)
