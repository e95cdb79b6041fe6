"""Stand-in."""

__all__ = ["selection"]
