"""The bank: the store of lessons with their evidence, trials, lineage and states."""
