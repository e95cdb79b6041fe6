"""Threads of Python that take work from one list, with torch's own threads set to suit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self, TypeVar

import torch

T = TypeVar("T")


class Workers:
    """Shares functions among at most so many threads, within a `with` block.

    A function that is alone has as many of torch's threads instead. Those keep a processor busy for
    milliseconds after their work, and all who wait for them as well.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        # The first helpers are always the same threads, so no other one needs memory for its
        # results. Each has a setting of torch's threads of its own; it starts when it gets work.
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
        """Call all the functions on so many threads, and return what they return."""
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
