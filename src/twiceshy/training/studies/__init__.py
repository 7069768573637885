"""Experiments on published claims, as functions that a command or a script can call."""
