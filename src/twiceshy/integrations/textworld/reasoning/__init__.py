"""The parts of the reasoning-memory study; `textworld.reasoning_memory` runs it."""
