"""What is said where a network has not as many outputs as the data ask for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from minifw.errors import short_word
from minifw.nn.registry import Shape

MOST_NAMES = 5
"""Classes or targets that a message names."""


@dataclass(frozen=True)
class Wanted:
    """How many outputs there should be: one for each class, target or input.

    `of` is one of these words, `called` are their names if they have any, and `head` is the name of
    the layer whose output it is, None where the network has one output.
    """

    count: int
    of: str
    called: Sequence[str] = ()
    head: str | None = None

    @property
    def words(self) -> str:
        """What asks for it, as `3 classes ('adel', 'chin', 'gent')`."""
        plural = {"class": "classes"}.get(self.of, f"{self.of}s")
        names = ", ".join(f"'{short_word(name)}'" for name in self.called[:MOST_NAMES])
        more = ", …" if len(self.called) > MOST_NAMES else ""
        named = f" ({names}{more})" if names else ""
        return f"{self.count} {self.of if self.count == 1 else plural}{named}"


def wrong_end(size: Shape, wanted: Wanted, mend: str) -> str:
    """Return what is wrong with an output whose samples have this shape, and what mends it."""
    layer = "the last layer" if wanted.head is None else f"the layer '{wanted.head}', a head,"
    has = f"has {size[0]} output{'' if size[0] == 1 else 's'}"
    if len(size) > 1:
        has = f"gives {'x'.join(map(str, size))}"
    return f"{wanted.words}, {layer} {has}; {mend}"


def mend_by_hand(size: Shape, wanted: Wanted) -> str:
    """Return what mends an output whose size no key of its layer can set."""
    layers = ["flatten"] if len(size) > 1 else []
    if math.prod(size) != wanted.count:
        layers.append(f"linear: {wanted.count}")
    added = " and ".join(f"`- {layer}`" for layer in layers)
    where = "at the end" if wanted.head is None else "before that head"
    return f"{added} more {where} {'mends' if len(layers) == 1 else 'mend'} it"
