"""From a teacher without its swagger: contexts, losses, checks before and after, export."""
