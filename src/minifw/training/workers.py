"""Python threads that take work from one list, with torch's number of threads set to fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self, TypeVar

import torch

T = TypeVar("T")


class Workers:
    """Divides functions among at most `threads` threads, within a `with` block.

    A single function gets as many of torch's threads instead. Torch's threads keep a processor busy
    for milliseconds after their work, so they are not used beside Python's.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        # The first helpers are always the same threads, so that no other thread allocates memory
        # for results. Torch's number of threads is set in each thread when it gets its first work.
        self._pools = [
            self._stack.enter_context(
                ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))
            )
            for _ in range(self._most - 1)
        ]
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def call(self, work: Sequence[Callable[[], T]], threads: int) -> list[T]:
        """Call all the functions on this many threads, and return their results in order."""
        helpers = min(threads, len(work)) - 1
        results: dict[int, T] = {}
        left = iter(enumerate(work))

        def take() -> None:
            for position, function in left:
                results[position] = function()

        usual = torch.get_num_threads()
        torch.set_num_threads(1 if helpers else threads)
        try:
            others = [pool.submit(take) for pool in self._pools[:helpers]]
            take()
            for other in others:
                other.result()
        finally:
            torch.set_num_threads(usual)
        return [results[position] for position in range(len(work))]
