"""Ray: what one machine cannot hold. Needs the extra `ray`; importing this does not."""

from twiceshy.integrations.ray.weights import write_weights

__all__ = ["write_weights"]
