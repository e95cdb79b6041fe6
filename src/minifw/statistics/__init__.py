"""What errors over seeds say, and how sure it is: summaries, intervals, comparisons, components.

NumPy and SciPy only; errors in percent come in as plain numbers, None or NaN for a seed that
diverged. All figures are deterministic: random draws come from fixed generators.
"""

__all__ = [
    "components",
    "intervals",
    "measure",
    "overlap",
    "paired",
    "scores",
    "selection",
    "summary",
]
