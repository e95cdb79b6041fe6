"""The command line: arguments in, results on stdout, messages and progress on stderr."""

__all__ = [
    "main",
]
