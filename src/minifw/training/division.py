"""How a stack of networks is divided among threads: a rule of sizes alone.

The threads are Python's, with a part of the stack for each. Those of torch share every single
operation and wait for one another by spinning: where other programs want the processors too, five
small networks took 10 to 48 s on two of them, and 1 s on one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

# A thread gets a part of the stack if each layer of that has this many results. Below, the threads
# spend more on handing Python's lock to one another, at every operation, than they gain: with parts
# of 50, 100, 150, 200 and 250 thousand two threads took 1.44, 0.99, 0.83, 0.71 and 0.64 times what
# one takes, on two idle processors.
WORTH_A_THREAD = 100_000


class Division(NamedTuple):
    """Parts of so many seeds of a stack (None: all), on so many threads.

    Parts go beside one another, each with one thread of torch's own; a part that is alone has
    all of them. None is as many as torch is set to.
    """

    seeds: int | None = None
    threads: int | None = None


def divided(seeds: int, results: int, most: int, threads: int) -> Division:
    """Return how several seeds are divided among at most so many threads.

    `results` is how many a layer of one network has at once, at most; `most` is how many seeds
    memory has a place for, those of all threads together.
    """
    workers = min(threads, seeds, seeds * results // WORTH_A_THREAD)
    if workers < 2:
        return Division(most, 1)
    return Division(equal_parts(seeds, max(1, most // workers), workers), workers)


def equal_parts(seeds: int, most: int, threads: int) -> int:
    """Return the seeds of a part: all threads busy to the end, at most `most` in a part."""
    rounds = -(-seeds // (threads * most))
    return -(-seeds // (threads * rounds))


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this block torch has one thread, for what is small or done once."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
