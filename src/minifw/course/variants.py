"""Classes with a known mistake, so that a check can name it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


def with_mistakes(
    right: type, method: str, mistakes: Mapping[str, Callable[..., Any]], *arguments: Any
) -> dict[str, Callable[[tuple[int, ...]], Any]]:
    """Return, for each mistake in words, a function of the stack that makes a module with it.

    Args:
        right: the right class; what it makes must take the argument `stack`.
        method: the method in which the mistake is made, such as "backward".
        mistakes: for each mistake, in words, the wrong method.
        arguments: those of the class, before the stack.

    """
    return {
        words: maker(type(right.__name__, (right,), {method: wrong}), *arguments)
        for words, wrong in mistakes.items()
    }


def maker(module: Callable[..., Any], *arguments: Any) -> Callable[[tuple[int, ...]], Any]:
    """Return a function of the stack that makes this module, as `check_module` wants it."""
    return lambda stack: module(*arguments, stack=stack)


def like(
    found: Sequence[Tensor], wrong: Mapping[str, Sequence[Tensor]], right: Sequence[Tensor]
) -> list[dict[str, Tensor]]:
    """Return, for each of several results, what mistakes give for it, in words.

    Those mistakes count that give all of what was found; if there are none, each counts where it
    gives something else than the right result.
    """
    alike = {words: made for words, made in wrong.items() if all(map(_is_close, made, found))}
    return [
        {
            words: made[place]
            for words, made in (alike or wrong).items()
            if not _is_close(made[place], right[place])
        }
        for place in range(len(right))
    ]


def _is_close(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)
