"""Follows the lines of modules, loss and optimiser in a step: which one makes which tensor."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType
from typing import Any

import torch
from torch import Tensor

from minifw.explain.model import Moment, Numbers, Phase

METHODS = (
    "forward", "function", "derivative", "backward", "accumulate", "_accumulate", "grad",
    "step", "descend",
)  # fmt: skip
"""The methods that hold formulas."""

MOST = 3
"""Tensors that are shown of a line, at most; an optimiser's may make one for each parameter."""

Place = tuple[CodeType, int]
"""A line of code, by its number in its file."""


class Code:
    """The methods of some objects, each class once, and the lines of those that were executed."""

    def __init__(self, things: Iterable[Any]) -> None:
        kinds = dict.fromkeys(type(thing) for thing in things)
        self.methods = {kind: [*_methods(kind)] for kind in kinds}
        self.codes = {method.__code__ for methods in self.methods.values() for method in methods}

    def listing(self, executed: Container[CodeType]) -> tuple[list[str], dict[Place, int]]:
        """Return the lines of these methods by class, and where in them each line stands."""
        lines: list[str] = []
        places: dict[Place, int] = {}
        listed: set[CodeType] = set()
        for kind, methods in self.methods.items():
            new = [m for m in methods if m.__code__ in executed and m.__code__ not in listed]
            if new:
                lines += [""] * bool(lines) + [f"class {kind.__name__}:"]
            for number, method in enumerate(new):
                lines += [""] * bool(number)
                listed.add(method.__code__)
                source, first = inspect.getsourcelines(method)
                for place, line in enumerate(source):
                    places[method.__code__, first + place] = len(lines)
                    lines.append(line.rstrip())
        return lines, places


def _methods(kind: type) -> Iterator[FunctionType]:
    """Yield the methods of a class that hold its formulas, of which there is source."""
    for name in METHODS:
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        if owner is None or owner.__name__ in ("Module", "Loss", "Optimizer"):
            continue
        method = inspect.unwrap(vars(owner)[name])
        if not inspect.isfunction(method):
            continue
        try:
            inspect.getsourcelines(method)
        except (OSError, TypeError):  # as of a class made in an interpreter
            continue
        yield method


class Tracer:
    """Notes for each line of the code, as it is executed, the tensors that it makes.

    `where` says for a method in which phase and call it is; `kept` are tensors that lines change in
    place, by name, such as gradients and parameters.
    """

    def __init__(
        self, code: Code, where: Callable[[str], tuple[Phase, int | None]], kept: dict[str, Tensor]
    ) -> None:
        self.code, self.where, self.kept = code, where, kept
        self._noted: list[tuple[Phase, int | None, Place, tuple[Numbers, ...]]] = []
        self._seen: dict[int, tuple[Tensor, int]] = {}  # tensors that were shown, and their version

    @contextmanager
    def following(self) -> Iterator[None]:
        """Within this block, lines are followed."""
        usual = sys.gettrace()
        with _empty_is_nan():
            sys.settrace(self._enter)
            try:
                yield
            finally:
                sys.settrace(usual)

    def lines_and_moments(self) -> tuple[list[str], list[Moment]]:
        """Return the lines of all methods that made something, and what each line made."""
        lines, places = self.code.listing({place[0] for _, _, place, _ in self._noted})
        moments = [
            Moment(phase, layer, places[place], made[:MOST], len(made[MOST:]))
            for phase, layer, place, made in self._noted
        ]
        return lines, moments

    def _enter(self, frame: FrameType, event: str, result: Any) -> Any:
        if frame.f_code not in self.code.codes:
            return None
        # Arguments were made elsewhere, and gradients were set to 0 before.
        for value in (*frame.f_locals.values(), *self.kept.values()):
            for tensor in _tensors(value):
                self._is_new(tensor)
        before = frame.f_lineno

        def line(frame: FrameType, event: str, result: Any) -> Any:
            nonlocal before
            if event in ("line", "return"):
                made = dict(frame.f_locals)
                if event == "return":
                    made["the result"] = result
                self._note(frame.f_code, before, made)
                before = frame.f_lineno
            return line

        return line

    def _is_new(self, tensor: Tensor) -> bool:
        """Return whether a tensor was not shown yet, or has changed since."""
        version = tensor._version
        known = self._seen.get(id(tensor))
        self._seen[id(tensor)] = tensor, version  # held, so that no other gets its id
        return known is None or known[1] != version

    def _note(self, code: CodeType, number: int, local: dict[str, Any]) -> None:
        named = [(name, value) for name, value in local.items() if name != "self"]
        new = [
            (name, tensor)
            for name, value in (*named, *self.kept.items())
            for tensor in _tensors(value)
            if self._is_new(tensor)
        ]
        phase, layer = self.where(code.co_name)
        results = _RESULTS if layer is not None else _RESULTS_OF_LOSS
        made: dict[int, Numbers] = {}  # by the memory: several may be views of it
        for name, tensor in new:
            if not tensor.numel() or not tensor.is_floating_point() or tensor.isnan().all():
                continue
            if name == "the result":
                name = results.get(code.co_name, name)
            elif layer is not None:
                name = name.rpartition(".")[2]
            made.setdefault(tensor.untyped_storage().data_ptr(), Numbers.of(name, _alone(tensor)))
        if made:
            self._noted.append((phase, layer, (code, number), tuple(made.values())))


_RESULTS = {"forward": "y", "function": "y", "derivative": "dy/dx", "backward": "dL/dx"}
_RESULTS_OF_LOSS = {"function": "L", "grad": "dL/d(output)"}


@contextmanager
def _empty_is_nan() -> Iterator[None]:
    """Within this block, memory that nothing was written to holds NaN, and is no result."""
    usual = torch.are_deterministic_algorithms_enabled()
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(usual, warn_only=warned)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for each in value:
            if isinstance(each, Tensor):
                yield each


def _alone(tensor: Tensor) -> Tensor:
    """Return a tensor of a stack of one without the stack's dimension."""
    return tensor[0] if tensor.ndim and tensor.shape[0] == 1 else tensor
