"""A training step of minifw, and whole jobs, timed beside those of PyTorch and JAX."""

__all__ = [
    "arms",
    "jobs",
    "lenet",
    "measure",
]
