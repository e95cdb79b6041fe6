"""The compiled way: all steps of an epoch as one call into machine code.

Python's lock is not held during a call: shards of a stack can be trained in threads.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from minifw.errors import UsageError
from minifw.training.compiled.library import opened
from minifw.training.learner import Learner

# A turn of the loop takes this many steps. The first writes its weights beside those it reads, the
# second writes back over those: no step overwrites its own operands, which processors are slow at.
# 20 seeds with batches of one took 10 us a step so, 18 with one step a turn, and 12 with four.
STEPS_A_TURN = 2


class Steps:
    """The steps of an epoch, compiled for one kind of network, loss and optimizer and for shapes.

    Args:
        learner: what takes the steps; only its formulas and shapes are used.
        inputs: `(steps, seeds, batch, features)`, of which only the shape is used.
        targets: `(steps, seeds, batch, …)`, likewise.
        threads: how many calls there may be at the same time.

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
        except Exception as fault:  # torch's compiler has no error of its own for all of this
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

        There may be fewer seeds than were compiled for: the last one is repeated then.
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
        """Call the library by AOTInductor's C interface; ctypes does so without Python's lock."""
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
        # A tensor that nobody asked for, the number of turns; taking it frees it.
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


# torch hands tensors to C in capsules, Python's objects around an address.
_address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_capsule = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)


def _padded(tensor: Tensor, dim: int, missing: int) -> Tensor:
    """Return the tensor with its last entry along `dim` repeated so many times more."""
    if missing:
        last = tensor.narrow(dim, -1, 1)
        tensor = torch.cat([tensor, *[last] * missing], dim)
    # The compiled code reads memory as it was laid out when it was made: without gaps.
    return tensor.contiguous()


def _by_turns(values: Tensor) -> tuple[Tensor, Tensor]:
    """Divide `(steps, …)` into `(turns, steps of a turn, …)`, and likewise those that are left.

    If none is left there are no turns of them.
    """
    a_turn = min(STEPS_A_TURN, len(values))
    whole = len(values) - len(values) % a_turn
    of_last = max(1, len(values) - whole)
    return values[:whole].unflatten(0, (-1, a_turn)), values[whole:].unflatten(0, (-1, of_last))
