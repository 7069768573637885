"""Lessons kept outside the weights: mined from contrast, with their evidence."""
