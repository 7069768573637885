"""Parts of `studies.negative_reinforcement`: its plan, its runs, its comparisons, its page."""
