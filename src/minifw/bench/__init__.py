"""A training step of minifw timed beside that of PyTorch and JAX."""

__all__ = [
    "arms",
    "measure",
]
