"""The imitation study: its world, its runs, its report and its pictures."""
