"""minifw: a deep-learning framework to read, and a runner for small networks over many seeds."""

__version__ = "0.1.0"
