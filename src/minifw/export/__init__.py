"""Trained networks in the forms of other programs."""

__all__: list[str] = []
