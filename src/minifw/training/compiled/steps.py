"""Compiled steps: all steps of an epoch are one call into machine code.

Python's lock is released during a call, so shards of a stack can be trained in threads.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from minifw.errors import UsageError
from minifw.training.compiled.library import opened
from minifw.training.learner import Learner

# Steps in a turn of the loop. The first step writes its weights beside those that it reads, the
# second overwrites the old ones: no step overwrites its own operands, which would be slow
# (docs/performance.md).
STEPS_A_TURN = 2


class Steps:
    """The steps of an epoch, compiled for one kind of network, loss and optimizer and for shapes.

    Args:
        learner: only its formulas and shapes are used.
        inputs: `(steps, seeds, batch, features)`; only the shape is used.
        targets: `(steps, seeds, batch, …)`; only the shape is used.
        threads: how many calls may run at the same time.

    """

    def __init__(
        self,
        learner: Learner,
        inputs: Tensor,
        targets: Tensor,
        threads: int = 1,
    ) -> None:
        output: Tensor = learner.network.forward(inputs[0])
        self._output = torch.zeros(output.shape, dtype=output.dtype)
        eta = torch.zeros((), dtype=inputs.dtype)
        state = [*learner.state, self._output]
        batches = [*_by_turns(inputs), *_by_turns(targets)]
        arguments = [tensor.contiguous() for tensor in (*state, *batches, eta)]
        try:
            self._library = opened(learner, arguments)
        except Exception as fault:  # torch's compiler raises many kinds of errors
            reason = (str(fault).strip() or type(fault).__name__).splitlines()[0]
            raise UsageError(
                f"train.compile: true: compiling failed ({reason}); false trains without it"
            ) from fault
        self._container = ctypes.c_void_p()
        self._check(
            self._library.AOTInductorModelContainerCreateWithDevice(
                ctypes.byref(self._container), ctypes.c_size_t(threads), b"cpu", None
            )
        )

    def run(self, learner: Learner, inputs: Tensor, targets: Tensor, eta: Tensor) -> Tensor:
        """Take all steps, in place, and return the output `(seeds, batch, …)` of the last one.

        There may be fewer seeds than were compiled for; the last one is then repeated.
        """
        state = learner.state
        seeds = inputs.shape[1]
        missing = len(self._output) - seeds
        changed = [_padded(tensor, 0, missing) for tensor in state]
        output = torch.empty_like(self._output)
        batches = [
            part for values in (inputs, targets) for part in _by_turns(_padded(values, 1, missing))
        ]
        self._call([*changed, output, *batches, eta])
        for tensor, new in zip(state, changed, strict=True):
            if new is not tensor:
                tensor.copy_(new[:seeds])
        return output[:seeds]

    def _call(self, arguments: list[Tensor]) -> None:
        """Call the library by AOTInductor's C interface; ctypes releases Python's lock."""
        handles = torch._C._aoti.unsafe_alloc_void_ptrs_from_tensors(arguments)
        given = (ctypes.c_void_p * len(handles))(*(_address(handle, None) for handle in handles))
        turns = (ctypes.c_void_p * 1)()
        self._check(
            self._library.AOTInductorModelContainerRun(
                self._container,
                given, ctypes.c_size_t(len(given)),
                turns, ctypes.c_size_t(len(turns)),
                None, None,
            )
        )  # fmt: skip
        # The number of turns, a tensor that is not used; taking it frees it.
        torch._C._aoti.alloc_tensors_by_stealing_from_void_ptrs(
            [_capsule(address, None, None) for address in turns]
        )

    def _check(self, code: int) -> None:
        if code != 0:
            raise UsageError(
                "train.compile: true: the compiled steps failed; false trains without them"
            )

    def __del__(self) -> None:
        if getattr(self, "_container", None):
            self._library.AOTInductorModelContainerDelete(self._container)


# torch passes tensors to C in capsules, Python objects that hold an address.
_address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)


def _padded(tensor: Tensor, dim: int, missing: int) -> Tensor:
    """Return the tensor with its last entry along `dim` repeated `missing` more times."""
    if missing:
        last = tensor.narrow(dim, -1, 1)
        tensor = torch.cat([tensor, *[last] * missing], dim)
    # The code was compiled for contiguous memory.
    return tensor.contiguous()


def _by_turns(values: Tensor) -> tuple[Tensor, Tensor]:
    """Divide `(steps, …)` into `(turns, steps of a turn, …)`, and the remaining steps likewise.

    If no steps remain, the second has no turns.
    """
    a_turn = min(STEPS_A_TURN, len(values))
    whole = len(values) - len(values) % a_turn
    of_last = max(1, len(values) - whole)
    return values[:whole].unflatten(0, (-1, a_turn)), values[whole:].unflatten(0, (-1, of_last))
