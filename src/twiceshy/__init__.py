"""Learn from failed attempts, and prove that the lesson transfers."""

__version__ = "0.1.0"
