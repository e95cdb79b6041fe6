"""Exercises that grade themselves: the framework's passes, blanked out."""

__all__: list[str] = []
