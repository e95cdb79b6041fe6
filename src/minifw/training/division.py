"""How a stack of networks is divided among threads: a rule that depends on sizes alone.

The threads are Python's, each with a shard of the stack. Torch's own threads divide every single
operation and wait for each other by spinning, which is slow when other programs use the processors
(docs/decisions.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

# A thread gets a shard of the stack if each layer of the shard has at least this many results. With
# fewer, the threads lose more time to Python's lock than they gain (docs/decisions.md).
WORTH_A_THREAD = 100_000


class Division(NamedTuple):
    """The seeds of a shard (None: all of the stack) and the number of threads.

    Shards are trained side by side, each with one of torch's own threads; a single shard has all
    of them. `threads` None is the number that torch is set to.
    """

    seeds: int | None = None
    threads: int | None = None


def divided(seeds: int, results: int, most: int, threads: int) -> Division:
    """Return how several seeds are divided among at most `threads` threads.

    `results` is the largest number of results of a layer of one network; `most` is the number of
    seeds that fit in memory at once, on all threads together.
    """
    workers = min(threads, seeds, seeds * results // WORTH_A_THREAD)
    if workers < 2:
        return Division(most, 1)
    return Division(equal_shards(seeds, max(1, most // workers), workers), workers)


def equal_shards(seeds: int, most: int, threads: int) -> int:
    """Return the seeds of a shard, at most `most`, so that all threads finish together."""
    rounds = -(-seeds // (threads * most))
    return -(-seeds // (threads * rounds))


@contextmanager
def one_thread() -> Iterator[None]:
    """Within this block torch has one thread, for work that is small or done once."""
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
