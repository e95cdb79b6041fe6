"""The compiled way: all steps of an epoch as one call into machine code.

The hand-written passes are the only formulas. `_record` runs one training step on tensors without
numbers and keeps the list of tensor operations that it took; torch's `while_loop` repeats that list
for each batch; Inductor, the compiler of torch, turns the loop into C++ ahead of time; the C++
compiler makes a library of it. The library is kept, so that it is made once for each network,
loss, optimizer and shape, and a later run only opens it.

Python's lock is not held during a call: parts of a stack can be trained in threads.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import os
import platform
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minifw import nn
from minifw.errors import StorageError, UsageError
from minifw.nn import Loss, Network, Optimizer
from minifw.nn.buffers import fused
from minifw.system.environment import cpu_info
from minifw.system.files import publish

# A turn of the loop takes this many steps. The first writes its weights beside those it reads, the
# second writes back over those: no step overwrites its own operands, which processors are slow at.
# 20 seeds with batches of one took 10 us a step so, 18 with one step a turn, and 12 with four.
STEPS_A_TURN = 2

OPTIONS = {
    "cpp.threads": 1,  # the parts of a stack share the processors, not the loops inside of one
    "cpp.enable_floating_point_contract_flag": "fast",  # a * b + c rounds once, as in torch's SGD
    # A row of 25 numbers ends within a vector. Where a result is written over its operand, the
    # next row is read while that part of a vector is still on its way to memory, and must wait.
    "inplace_buffers": False,
}


def compiler() -> str | None:
    """Return the path of the C++ compiler that Inductor would call, None if there is none."""
    return shutil.which(os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++"))


def require_compiler(begun: str | None = None) -> None:
    """Raise a UsageError that says what to install, unless there is a C++ compiler.

    `begun` is the run that needs it since it began compiled, if it is one that goes on.
    """
    if compiler() is not None:
        return
    install = "and there is none; install g++ (`apt install g++`, `dnf install gcc-c++`)"
    if begun is not None:
        what = f"{begun}: this run began compiled; to go on it needs a C++ compiler"
        raise UsageError(f"{what}, {install} or name one in CXX")
    raise UsageError(
        f"train.compile: true needs a C++ compiler, {install}, name one in CXX, or use auto"
    )


class Epoch:
    """The steps of an epoch, compiled for one kind of network, loss and optimizer and for shapes.

    Args:
        network, loss, optimizer: what is trained; only their formulas and shapes are used.
        inputs: `(steps, seeds, batch, features)`, of which only the shape is used.
        targets: `(steps, seeds, batch, …)`, likewise.
        threads: how many calls there may be at the same time.

    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        optimizer: Optimizer,
        inputs: Tensor,
        targets: Tensor,
        threads: int = 1,
    ) -> None:
        output: Tensor = network.forward(inputs[0])
        self._output = torch.zeros(output.shape, dtype=output.dtype)
        eta = torch.zeros((), dtype=inputs.dtype)
        state = [*_state(network, optimizer), self._output]
        batches = [*_by_turns(inputs), *_by_turns(targets)]
        arguments = [tensor.contiguous() for tensor in (*state, *batches, eta)]
        try:
            self._library = _library(network, loss, optimizer, arguments)
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

    def run(
        self, network: Network, optimizer: Optimizer, inputs: Tensor, targets: Tensor, eta: Tensor
    ) -> Tensor:
        """Take all steps, in place, and return the output `(seeds, batch, …)` of the last one.

        There may be fewer seeds than were compiled for: the last one is repeated then.
        """
        state = _state(network, optimizer)
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


def _state(network: Network, optimizer: Optimizer) -> list[Tensor]:
    """Return everything that a step changes."""
    return [*(value for _, value, _ in network.parameters()), *optimizer.state.values()]


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


# ------------------------------------------------------------------------------------ compiling


def _library(
    network: Network, loss: Loss, optimizer: Optimizer, arguments: list[Tensor]
) -> ctypes.CDLL:
    """Return the library of this loop, from the cache or newly made.

    A cache that cannot be read or written costs the time of compiling, and nothing else.
    """
    name = f"{_key(network, loss, optimizer, arguments)}.so"
    kept = None if (folder := cache_dir()) is None else folder / name
    if kept is not None:
        with suppress(OSError):  # not there, not to be read, or damaged
            return ctypes.CDLL(str(kept))
    with _one_at_a_time, _scratch() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own code, about torch's own code
        import torch._inductor

        from minifw.training.compiled.inductor import as_we_need_it

        with as_we_need_it():
            made = torch._inductor.aot_compile(
                _loop(network, loss, optimizer, arguments),
                tuple(arguments),
                options=OPTIONS | {"aot_inductor.output_path": f"{scratch}/loop.so"},
            )
        if kept is not None:
            with suppress(StorageError):
                publish(kept, Path(str(made)).read_bytes())
        # Once it is open its file may go. In a scratch folder that nothing can be run from it
        # does not open, but may where it is kept.
        try:
            return ctypes.CDLL(str(made))
        except OSError:
            if kept is None:
                raise
            return ctypes.CDLL(str(kept))


@contextmanager
def _scratch() -> Iterator[str]:
    """Give a folder to compile in; Inductor's own files go there too where theirs cannot be used.

    Inductor makes its folder while it is imported, so it is looked at before.
    """
    name = "TORCHINDUCTOR_CACHE_DIR"
    usual = os.environ.get(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        if usual is not None and not _is_writable(Path(usual)):
            os.environ[name] = f"{folder}/inductor"
        try:
            yield folder
        finally:
            if usual is not None:
                os.environ[name] = usual


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


_one_at_a_time = threading.Lock()  # Inductor is changed while it compiles, for all threads


def _loop(network: Network, loss: Loss, optimizer: Optimizer, arguments: list[Tensor]) -> Any:
    """Record the loop over the steps as a graph that changes the state and the output in place."""
    from torch._higher_order_ops.while_loop import while_loop_op
    from torch.fx.experimental.proxy_tensor import make_fx

    *state, inputs, _, targets, _, eta = arguments
    step = _record(network, loss, optimizer, [*state, inputs[0, 0], targets[0, 0], eta])
    changed = ",".join(str(1 + position) for position in range(len(state)))

    def turns_from(first: int, done: Tensor, state: list[Tensor], *of_turns: Tensor) -> Tensor:
        """Take the turns of these inputs and targets; `first` are `done` already."""
        last = first + len(of_turns[0])

        def more_to_do(turn: Tensor, *_: Tensor) -> Tensor:
            return turn < last

        def take_turn(turn: Tensor, *arguments: Tensor) -> tuple[Tensor]:
            *state, inputs, targets, eta = arguments
            number: Any = turn.item() - first
            torch._check(number >= 0)
            torch._check(number < len(inputs))
            new = state
            for x, target in zip(inputs.select(0, number), targets.select(0, number), strict=True):
                new = step(*new, x, target, eta)
            for tensor, value in zip(state, new, strict=True):
                tensor.copy_(value)
            return (turn + 1,)

        (done,) = while_loop_op(
            more_to_do, take_turn, (done,), (*state, *of_turns), mutated_arg_indices=changed
        )
        return done

    def loop(*arguments: Tensor) -> list[Tensor]:
        *state, inputs, last_inputs, targets, last_targets, eta = arguments
        done = turns_from(0, torch.zeros((), dtype=torch.int64), state, inputs, targets, eta)
        # A loop as well: Inductor does not know what the first one changes, and may put before it
        # whatever does not wait for the number of turns that it returns.
        if len(last_inputs):
            done = turns_from(len(inputs), done, state, last_inputs, last_targets, eta)
        return [done]

    return make_fx(loop, tracing_mode="fake")(*arguments)


def _record(network: Network, loss: Loss, optimizer: Optimizer, arguments: list[Tensor]) -> Any:
    """Record one training step, as `fit` takes it, as a function without side effects."""
    from torch.func import functionalize
    from torch.fx.experimental.proxy_tensor import make_fx

    count = len(network.parameters())

    def step(*arguments: Tensor) -> list[Tensor]:
        *state, _, x, target, eta = arguments
        state = [tensor.clone() for tensor in state]
        twin = network.with_parameters(state[:count])
        remembered = dict(zip(optimizer.state, state[count:], strict=True))
        output = twin.forward(x)
        twin.accumulate(loss.grad(output, target))
        optimizer.with_state(twin, remembered).step(eta)
        return [*state, output]

    def baddbmm(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
        # So that `products.h` does the product. The total of a gradient is zero: Inductor drops it.
        return total + torch.bmm(left, right)

    recorded = make_fx(
        functionalize(step),
        decomposition_table={torch.ops.aten.baddbmm.default: baddbmm},
        tracing_mode="fake",
    )
    with fused():
        return recorded(*arguments)


# --------------------------------------------------------------------------------------- cache


def cache_dir() -> Path | None:
    """Return where compiled loops are kept: `minifw` in $XDG_CACHE_HOME, else in ~/.cache.

    None where there is no such place: the user has no home, as in some containers.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minifw"
    except RuntimeError:
        return None
    return folder if folder.is_absolute() else None  # as the standard of $XDG_CACHE_HOME says


def _key(network: Network, loss: Loss, optimizer: Optimizer, arguments: list[Tensor]) -> str:
    """Return a name for all that the compiled code depends on.

    The formulas count by the text of the files in which their classes stand, and of all files of
    the framework; their constants as `repr` and public attributes show them; and a module that
    stands in several places by the first of them.
    """
    objects = [*network.modules(), loss, optimizer]
    places: dict[int, int] = {}
    classes = {cls for thing in objects for cls in type(thing).__mro__ if cls is not object}
    here, framework = Path(__file__).parent, Path(nn.__file__).parent
    files = {*framework.glob("*.py"), *here.glob("*.py"), here / "products.h", *map(_file, classes)}
    parts = [
        torch.__version__, _processor(), repr(OPTIONS), repr(STEPS_A_TURN),
        *(f"{thing!r} {_constants(thing)} {places.setdefault(id(thing), place)}"
          for place, thing in enumerate(objects)),
        *(f"{tuple(tensor.shape)} {tensor.stride()} {tensor.dtype}" for tensor in arguments),
        *(file.read_text(encoding="utf-8") for file in sorted(files)),
    ]  # fmt: skip
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _file(cls: type) -> Path:
    """Return the file in which a class stands.

    Raises:
        TypeError: it stands in none, so that nothing would tell when its formula changes.

    """
    try:
        return Path(inspect.getfile(cls))
    except (TypeError, OSError):
        raise TypeError(f"the class {cls.__name__} must stand in a file") from None


def _constants(thing: Any) -> dict[str, Any]:
    """Return the public attributes that are numbers or words."""
    return {
        name: value
        for name, value in sorted(vars(thing).items())
        if not name.startswith("_") and isinstance(value, (bool, int, float, str))
    }


@cache
def _processor() -> str:
    """Return what kind of processor this is: code is made for it alone."""
    known = cpu_info()
    features = known.get("flags") or known.get("Features", "")
    return f"{platform.system()} {platform.machine()} {platform.processor()} {features}"
