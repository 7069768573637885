"""Weights for a trainer from logged outcomes: a sidecar by (file, row), token columns unread.

from twiceshy.frontier.weights import WeightSettings, write_weights

write_weights(["attempts.parquet"], "weights.parquet", settings=WeightSettings(objective="nsr"))
"""

from twiceshy.frontier.weights.counting import SidecarCounts
from twiceshy.frontier.weights.duck import InputFile, Weighed, write_weights
from twiceshy.frontier.weights.report import weights_report
from twiceshy.frontier.weights.rulings import Why
from twiceshy.frontier.weights.settings import WeightSettings

__all__ = [
    "InputFile",
    "SidecarCounts",
    "Weighed",
    "WeightSettings",
    "Why",
    "weights_report",
    "write_weights",
]
