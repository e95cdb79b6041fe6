"""Numbers and lists as a sentence has them."""

from __future__ import annotations

from collections.abc import Sequence

from minifw.errors import harmless
from minifw.statistics.measure import Measure

NAMED = 10
"""Seeds that a sentence names one by one, at most."""


def number(count: int) -> str:
    """Return a whole number with commas."""
    return f"{count:,}"


def many(count: int, noun: str) -> str:
    """Return a number of things: `1,000 seeds`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """Return words joined as in a sentence: `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def seeds_named(seeds: Sequence[int]) -> str:
    """Return which seeds these are: `seed 3`, `seeds 3 and 7`, or the first of many."""
    shown = [str(seed) for seed in seeds[:NAMED]]
    if len(seeds) > NAMED:
        return f"seeds {', '.join(shown)} and {many(len(seeds) - NAMED, 'other')}"
    return f"seed{'' if len(seeds) == 1 else 's'} {listed(shown)}"


def seed_range(seeds: Sequence[int]) -> str:
    """Return all seeds in few words: `seed 0`, `seeds 0 to 19`."""
    if len(seeds) > 2 and list(seeds) == [*range(seeds[0], seeds[0] + len(seeds))]:
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return seeds_named(seeds)


def moved(measure: Measure, first: float, last: float) -> str:
    """Return how a number goes from one to another: `falls from 47.10 % to 3.55 %`."""
    begin, end = measure.figure(first), measure.figure(last)
    if begin == end:
        return f"stays at {end}"
    return f"{'falls' if last < first else 'rises'} from {begin} to {end}"


def between(measure: Measure, ends: Sequence[float]) -> str:
    """Return both ends of an interval, the unit once: `1.00 to 1.50 %`."""
    return f"{measure.number(ends[0])} to {measure.figure(ends[1])}"


def sentence(text: str, *, named: bool = False) -> str:
    """Return a text that begins with a capital and ends with a full stop.

    One that begins with the name of an arm, `named`, keeps its first letter.
    """
    text = harmless(text).strip()
    if not named:
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
