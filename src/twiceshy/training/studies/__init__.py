"""Studies: many small runs, compared with controls, that anyone can repeat in minutes."""
