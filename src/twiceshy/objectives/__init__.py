"""Into weights: advantages, losses, token credit, guards and the fused head, as pure functions."""
