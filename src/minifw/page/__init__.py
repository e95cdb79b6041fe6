"""A run as one page: what was asked, what came out, and all that is needed to trust it."""

__all__ = [
    "choosing",
    "diagram",
    "document",
    "explained",
    "html",
    "many",
    "markdown",
    "pieces",
    "run",
    "steps",
    "writing",
]
