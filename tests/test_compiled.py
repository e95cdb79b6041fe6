"""The compiled way: the numbers of the plain way, for every part of a stack; made once, then kept."""

from __future__ import annotations

import _ctypes
import errno
import math
import os
import shutil
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cases import LOSSES, MODULES, LossCase, linear, normal
from minifw import data, nn
from minifw.errors import UsageError
from minifw.experiment.build import build_loss
from minifw.nn.module import as_tuple
from minifw.training import compiled
from minifw.training.compiled import library
from minifw.training.division import Division
from minifw.training.fit import fit
from minifw.training.learner import Learner
from minifw.training.placement import (
    PLAIN_BYTES,
    Compiling,
    Schedule,
    StepSizes,
    decide,
    scheduled,
)
from minifw.training.shards import divide
from test_training import experiment_of, network_of

needs_compiler = pytest.mark.skipif(
    compiled.compiler() is None, reason="there is no C++ compiler: `apt install g++`"
)


class Around(nn.Graph):
    """The layers of a chain, used more than once."""

    def __init__(self, *chain: nn.Module) -> None:
        self.register_modules(*chain)

    def connect(self, x: nn.Variable) -> nn.Variable:
        first, sigmoid, second, tanh, last = self
        y: nn.Variable = tanh(second(sigmoid(first(x))))
        z: nn.Variable = last(y + tanh(second(first(x))))
        z += last(y)
        return z


# Two threads and five seeds: the second part lacks a seed, and the last batch of 40 samples by 15
# is cut short. The second case is an epoch of one step, of a graph that uses its modules twice.
CASES: dict[str, tuple[list[str], int, type[nn.Network]]] = {
    "sgd": (["optimizer.momentum=0.9"], 15, nn.Sequential),
    "cross-entropy": (["loss.kind=cross-entropy", "network.1=sigmoid"], 40, Around),
}


@needs_compiler
@pytest.mark.parametrize("case", ["sgd", pytest.param("cross-entropy", marks=pytest.mark.slow)])
def test_the_compiled_way_is_the_plain_way(tmp_path: Path, cache: Path, case: str) -> None:
    overrides, batch_size, shape = CASES[case]
    exp = experiment_of(tmp_path, *overrides, seeds=5)
    ends = []
    for plan in (Schedule(), *(Schedule(Division(3, n), compiled=True) for n in (2, 1))):
        before = set(cache.glob("*"))
        network, loss = shape(*network_of(exp)), build_loss(exp.config)
        optimizer = nn.SGD(network, exp.config.optimizer.momentum)
        history = fit(
            network, loss, optimizer, exp.data, epochs=4, eta=0.05, batch_size=batch_size,
            next_order=data.BatchOrder(exp.seeds, 40), schedule=plan,
        )  # fmt: skip
        new = set(cache.glob("*")) - before
        ends.append((network.state_dict(), optimizer.state, history, len(new)))
    (plain, velocity, expected, none), *others = ends
    assert [none, *(new for *_, new in others)] == [0, 1, 0]  # kept, and no scratch file left
    for state, momenta, history, _ in others:
        for name, value in plain.items():
            torch.testing.assert_close(state[name], value, rtol=1e-12, atol=1e-14)
        for name, value in velocity.items():
            torch.testing.assert_close(momenta[name], value, rtol=1e-11, atol=1e-13)
        np.testing.assert_array_equal(history.test_error, expected.test_error)
        np.testing.assert_allclose(history.train_loss, expected.train_loss, rtol=1e-12)
    start = network_of(exp).state_dict()
    assert not any(torch.equal(value, start[name]) for name, value in plain.items())


class Split(nn.Module):
    """Features of these widths, each a tensor of its own."""

    def __init__(self, widths: list[int]) -> None:
        self.widths = widths

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        self.input = x
        pieces: tuple[Tensor, ...] = x.split(self.widths, -1)
        return pieces

    def backward(self, *gradients: Tensor) -> Tensor:
        return torch.cat(gradients, -1)


class Join(nn.Module):
    """Several tensors side by side."""

    def forward(self, *inputs: Tensor) -> Tensor:
        self.input = inputs
        return torch.cat(inputs, -1)

    def backward(self, gradient: Tensor) -> tuple[Tensor, ...]:
        widths = [x.shape[-1] for x in as_tuple(self.input or ())]
        pieces: tuple[Tensor, ...] = gradient.split(widths, -1)
        return pieces


class SideBySide(nn.Graph):
    """Every module of the table at once, each on its own features: one library for all of them."""

    def __init__(self, stack: tuple[int, ...]) -> None:
        self.counts = [len(case.inputs) for case in MODULES]
        self.members = [case.make(stack) for case in MODULES]
        self.split = Split([shape[-1] for case in MODULES for shape in case.inputs])
        self.join = Join()
        self.register_modules(self.split, *self.members, self.join)

    def connect(self, x: nn.Variable) -> nn.Variable:
        pieces = iter(self.split(x))
        outputs: list[nn.Variable] = []
        for count, module in zip(self.counts, self.members, strict=True):
            y = module(*(next(pieces) for _ in range(count)))
            outputs += y if isinstance(y, tuple) else (y,)
        joined: nn.Variable = self.join(*outputs)
        return joined


def compiled_and_plain(
    network: nn.Network, loss: nn.Loss, x: Tensor, target: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Take the steps of `(steps, seeds, …)` in both ways; return weights, momenta, last outputs."""
    values = [value for _, value, _ in network.parameters()]
    twin = network.with_parameters([value.clone() for value in values])
    learner = Learner(network, loss, nn.SGD(network, 0.9))
    other = nn.SGD(twin, 0.9)
    eta = torch.tensor(0.05, dtype=x.dtype)
    last = compiled.Steps(learner, x, target).run(learner, x, target, eta)
    for batch, of_batch in zip(x, target, strict=True):
        twin.reset_gradient()
        output = twin.forward(batch)
        twin.backward(loss.grad(output, of_batch))
        other.step(0.05)
    ours = [*learner.state, last]
    theirs = [*(value for _, value, _ in twin.parameters()), *other.state.values(), output]
    return ours, theirs


@needs_compiler
# Five steps are two turns of the loop, and one left: five times the code to compile.
@pytest.mark.parametrize("steps", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_every_module_computes_the_same_compiled(steps: int) -> None:
    network = SideBySide((3,))
    x = normal(steps, 3, 6, sum(network.split.widths))
    start = [value.clone() for _, value, _ in network.parameters()]
    target = 0 * network.forward(x[0]).expand(steps, -1, -1, -1)
    ours, theirs = compiled_and_plain(network, nn.LossMSE("sample"), x, target)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)
    for value, before in zip(ours, start, strict=False):
        assert not torch.allclose(value, before)  # every parameter has moved


# Vectors hold 16 or 8 numbers: widths that fill some, leave a rest of one, or fit into one.
# Between 128 and 200 the library multiplies.
WIDTHS = [3, 17, 64, 65, 128, 200, 129, 5, 1, 33, 2]


@needs_compiler
@pytest.mark.parametrize(
    ("widths", "dtype"),
    [
        ([3, 65, 128, 200, 17, 2], torch.float32),
        pytest.param(WIDTHS, torch.float32, marks=pytest.mark.slow),
        pytest.param(WIDTHS, torch.float64, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_products_of_every_size_are_right_compiled(
    widths: list[int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    from minifw.training.compiled import inductor

    small: list[bool] = []
    usual = inductor._small_product

    def noting(node: Any) -> Any:
        small.append((arguments := usual(node)) is not None)
        return arguments

    monkeypatch.setattr(inductor, "_small_product", noting)
    network = nn.Sequential(
        *(nn.Linear(a, b, stack=(2,), dtype=dtype) for a, b in pairwise(widths))
    )
    x, target = normal(1, 2, 29, 3).to(dtype), torch.zeros(1, 2, 29, 2, dtype=dtype)
    # After one step the momenta are the gradients.
    ours, theirs = compiled_and_plain(network, nn.LossMSE("sample"), x, target)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).norm() <= 100 * torch.finfo(dtype).eps * other.norm()
    assert False in small
    assert (True in small) == (pick_vec_isa().bit_width() == 512)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "steps", "samples"),
    [
        ([3, 128, 200, 129, 2], 3, 29),  # Inductor put a product of the last step before the loop
        ([2, 25, 25, 25, 2], 3, 1),  # and could not write this at all
    ],
)
def test_a_step_that_is_left_after_whole_turns_comes_last(
    widths: list[int], steps: int, samples: int
) -> None:
    network = nn.Sequential(*(linear(a, b, (5,)) for a, b in pairwise(widths)))
    x = normal(steps, 5, samples, widths[0])
    target = torch.zeros(steps, 5, samples, widths[-1], dtype=x.dtype)
    ours, theirs = compiled_and_plain(network, nn.LossMSE("sample"), x, target)
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).norm() <= 1e-13 * other.norm()


class EveryLoss(nn.Loss):
    """All losses of the table at once, each on three outputs: one library for all of them."""

    def __init__(self, reduction: Any) -> None:
        super().__init__(reduction)
        self.of_classes = [case.target(()).dtype == torch.int64 for case in LOSSES]

    def grad(self, output: Tensor, target: Tensor) -> Tensor:
        # Each has three columns of targets. Classes stand in the first of theirs, as numbers.
        gradients = []
        pieces = zip(output.split(3, -1), target.split(3, -1), strict=True)
        for case, of_classes, (y, wanted) in zip(LOSSES, self.of_classes, pieces, strict=True):
            if of_classes:
                wanted = wanted[..., 0].long()
            gradients.append(case.make(self.reduction).grad(y, wanted))
        return torch.cat(gradients, -1)


@needs_compiler
def test_all_losses_compute_the_same_compiled() -> None:
    network = nn.Sequential(linear(4, 3 * len(LOSSES), (2,)))
    targets = [case.target((2,)).double() for case in LOSSES]
    of_each = [t if t.ndim == 3 else t.unsqueeze(-1).expand(-1, -1, 3) for t in targets]
    target = torch.cat(of_each, -1).expand(2, -1, -1, -1)
    ours, theirs = compiled_and_plain(network, EveryLoss("mean"), normal(2, 2, 6, 4), target)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_every_loss_computes_the_same_compiled(case: LossCase) -> None:
    network = nn.Sequential(linear(4, 3, (2,)))
    x = normal(2, 2, 6, 4)
    target = torch.stack([case.target((2,)), case.target((2,))])
    ours, theirs = compiled_and_plain(network, case.make("mean"), x, target)
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)


def name_of(
    network: nn.Network, loss: nn.Loss, optimizer: nn.Optimizer, arguments: list[Tensor]
) -> str:
    return library.name_of(Learner(network, loss, optimizer), arguments)


def test_what_a_compiled_loop_is_kept_under_names_all_it_depends_on(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    values = [value for _, value, _ in network.parameters()]
    mse, sgd = nn.LossMSE("sample"), nn.SGD(network, 0.9)
    wider = [torch.zeros(3, 16, 2)]
    keys = [
        name_of(network, mse, sgd, values),
        name_of(network, nn.LossMSE("mean"), sgd, values),
        name_of(network, mse, nn.SGD(network, 0.8), values),
        name_of(network, mse, sgd, [*values, *wider]),
        name_of(network, mse, sgd, [value.float() for value in values]),
        name_of(nn.Sequential(*network, nn.Tanh()), mse, sgd, values),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == name_of(network_of(exp), nn.LossMSE("sample"), sgd, values)


class Scaled(nn.ReLU):
    """A constant that `repr` does not show."""

    def __init__(self, factor: float) -> None:
        self.factor = factor


def test_wiring_and_hidden_constants_are_part_of_the_name() -> None:
    a, b, relu = linear(3, 3, (2,)), linear(3, 3, (2,)), nn.ReLU()

    def key(*modules: nn.Module) -> str:
        network = nn.Sequential(*modules)
        values = [value for _, value, _ in network.parameters()]
        return name_of(network, nn.LossMSE(), nn.SGD(network), values)

    chains = [(a, relu, b, relu, a), (a, relu, b, relu, b), (a, relu, a, relu, b)]
    keys = [key(*chain) for chain in chains] + [key(a, Scaled(0.1)), key(a, Scaled(0.2))]
    assert len(set(keys)) == len(keys)
    assert key(a, Scaled(0.2)) == keys[-1]
    nowhere: dict[str, Any] = {"ReLU": nn.ReLU, "__name__": "nowhere"}
    exec("class Typed(ReLU): pass", nowhere)
    with pytest.raises(TypeError, match="the class Typed must be defined in a file"):
        key(a, nowhere["Typed"]())


@needs_compiler
@pytest.mark.slow
def test_a_damaged_library_is_made_anew_and_spaces_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    monkeypatch.setattr(library, "name_of", lambda *of: "loop")
    path = tmp_path / "a cache" / "minifw" / "loop.so"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    x = normal(3, 2, 6, 4)
    target = torch.zeros(3, 2, 6, 3, dtype=x.dtype)
    ours, theirs = compiled_and_plain(
        nn.Sequential(linear(4, 3, (2,))), nn.LossMSE("sample"), x, target
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-13)
    assert [file.name for file in path.parent.iterdir()] == ["loop.so"]
    assert path.stat().st_size > 1000


class Counting(nn.SGD):
    """Asks a tensor for its number in a step, which no recording can answer."""

    def step(self, eta: Tensor | float) -> None:
        float(sum(gradient.sum() for _, _, gradient in self.network.parameters()))
        super().step(eta)


def test_what_cannot_be_compiled_is_one_line_or_the_plain_way(tmp_path: Path, cache: Path) -> None:
    exp = experiment_of(tmp_path, seeds=1)
    network = network_of(exp)
    alone = nn.Sequential(*(linear(m.in_features, m.out_features, ()) if isinstance(m, nn.Linear)
                            else m for m in network))  # fmt: skip
    of_one = replace(exp.data, train=exp.data.train.of(0), test=exp.data.test.of(0))
    loss = nn.LossMSE("sample")
    for net, optimizer, samples, why in (
        (alone, nn.SGD(alone), of_one, r"a stack of seeds in one dimension, got networks \(\)"),
        (network, Counting(network), exp.data, "compiling failed"),
    ):
        plan = Schedule(compiled=True)
        with pytest.raises(UsageError, match=f"^train.compile: true: .*{why}"):
            fit(net, loss, optimizer, samples, epochs=1, eta=0.1, schedule=plan)
        plan = replace(plan, otherwise=Schedule())
        assert fit(net, loss, optimizer, samples, epochs=1, eta=0.1, schedule=plan).epoch == 1


def test_inner_layers_count_where_memory_does(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path, seeds=5)
    network = network_of(exp)
    nested = nn.Sequential(nn.Sequential(*network))
    sizes = [StepSizes.of(net, exp.data.train) for net in (network, nested)]
    assert sizes[0] == sizes[1] == StepSizes((6, 5, 2), 2 * 6 + 6 + 6 * 5 + 5 + 5 * 2 + 2, 8)


def test_shards_of_a_stack_give_the_numbers_of_the_whole(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path, "optimizer.momentum=0.9", seeds=5)
    ends = []
    for plan in (None, Schedule(Division(2)), Schedule(Division(1, 1))):
        network = network_of(exp)
        optimizer = nn.SGD(network, 0.9)
        history = fit(
            network, nn.LossMSE("sample"), optimizer, exp.data, epochs=3, eta=0.05, batch_size=15,
            next_order=data.BatchOrder(exp.seeds, 40), schedule=plan,
        )  # fmt: skip
        ends.append((network.state_dict() | optimizer.state, history))
    for state, history in ends[1:]:
        for name, value in ends[0][0].items():
            torch.testing.assert_close(state[name], value, rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(history.test_error, ends[0][1].test_error)


def test_a_cut_last_batch_is_not_lost_to_the_next_part_of_its_thread(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path, seeds=4)
    network = network_of(exp)
    learner = Learner(network, nn.LossMSE("sample"), nn.SGD(network))

    class NoSteps:
        """Stands for a compiled loop."""

        run = staticmethod(lambda *of: torch.zeros(2, 15, 2))

    ends = []
    for shard in divide(learner, exp.data, 2):
        shard.compiled = NoSteps()  # type: ignore[assignment]
        output, _ = shard.train(None, 15, 0.05)
        ends.append((output, output.clone()))
    for output, then in ends:
        assert torch.equal(output, then)


def test_shards_share_memory_and_keep_to_the_estimate(tmp_path: Path) -> None:
    exp = experiment_of(tmp_path, seeds=6)
    network = network_of(exp)
    held = []
    for size in (6, 2, 1):
        learner = Learner(network, nn.LossMSE("sample"), nn.SGD(network))
        shards = divide(learner, exp.data, size)
        for shard in shards:
            shard.train(None, 40, 0.01)
            shard.evaluate()
        passes = [p for kept in {shard.buffers for shard in shards} for p in kept._passes.values()]
        held.append(sum(tensor.nbytes for each in passes for tensor in each.tensors))
    assert held[0] == 3 * held[1] == 6 * held[2] > 0
    # A step takes what is reckoned with, and the evaluation of 30 samples less than another.
    a_step = StepSizes.of(network, exp.data.train).step_bytes(40)
    assert a_step / 2 < held[2] <= 2 * a_step


def test_true_without_a_compiler_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match="train.compile: true needs a C\\+\\+ compiler.*install"):
        experiment_of(tmp_path, "train.compile=true")
    experiment_of(tmp_path, "train.compile=auto")


def test_auto_compiles_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    assert decide("auto", 1000, True) == (False, False)
    assert decide("auto", 10**6, True) == (True, True)  # or plainly where it fails
    assert decide("auto", 10**6, False) == (False, False)
    assert decide(False, 10**6, True) == (False, False)
    assert decide(True, 1, True) == (True, False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert decide("auto", 10**6, True) == (False, False)
    with pytest.raises(UsageError, match="train.compile: true needs a C\\+\\+ compiler"):
        decide(True, 1, True)


def test_every_seed_is_in_one_shard(tmp_path: Path) -> None:
    for seeds in (1, 2, 7, 20):
        exp = experiment_of(tmp_path, seeds=seeds)
        network = network_of(exp)
        sgd = nn.SGD(network)
        for batch in (1, 1000, 10_000_000):
            for given in (True, False):
                step = StepSizes.of(network, exp.data.train)
                size = scheduled(step, seeds, batch, batch, 2, Compiling(given)).training.seeds
                shards = divide(Learner(network, nn.LossMSE(), sgd), exp.data, size)
                covered = [seed for shard in shards for seed in range(seeds)[shard.seeds]]
                assert covered == list(range(seeds))
                assert len(shards) == 1 or batch > 1 or given
        assert len(shards) == seeds  # one at a time is all that memory has place for


@pytest.mark.parametrize("compiled_way", [False, True])
def test_shards_are_at_work_at_the_same_time_and_share_the_memory_for_it(
    compiled_way: bool,
) -> None:
    step = StepSizes((6, 5, 2), 65, 8)
    samples = PLAIN_BYTES // (24 * step.step_bytes(1))  # some 24 seeds fill it
    at_once = step.networks_in(PLAIN_BYTES, samples)
    divided = scheduled(step, 64, 1, samples, 4, Compiling(compiled_way)).evaluation
    assert divided is not None
    size = divided.seeds
    assert size is not None
    assert size > 1
    assert at_once == pytest.approx(24, abs=1)
    assert size * 4 <= at_once < (size + 2) * 4


def test_compiling_that_fails_is_one_line_or_the_plain_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*of: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "mkdtemp", full)
    exp = experiment_of(tmp_path)
    network = network_of(exp)
    loss, sgd = nn.LossMSE("sample"), nn.SGD(network)
    with pytest.raises(UsageError, match="compiling failed .*; false trains without it"):
        fit(network, loss, sgd, exp.data, epochs=1, eta=0.1, schedule=Schedule(compiled=True))
    plan = Schedule(compiled=True, otherwise=Schedule(Division(1)))
    history = fit(network, loss, sgd, exp.data, epochs=1, eta=0.1, schedule=plan)
    assert history.epochs == [0, 1]


@pytest.mark.parametrize("kept", ["kept", "damaged", "unwritable", "no home"])
def test_a_library_that_cannot_be_kept_is_used_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    (tmp_path / "file").write_text("a file where folders should be")
    folder = "a cache" if kept in ("kept", "damaged") else "file"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
    if kept == "damaged":
        (tmp_path / folder / "minifw").mkdir(parents=True)
        (tmp_path / folder / "minifw" / "loop.so").write_bytes(b"damaged")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "file"))

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    if kept == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setattr(Path, "home", no_home)
    scratch = []

    def compile_(loop: object, arguments: object, options: dict[str, Any]) -> str:
        made = Path(options["aot_inductor.output_path"])
        scratch.append(made.parent)
        assert (
            os.access(os.environ["TORCHINDUCTOR_CACHE_DIR"], os.W_OK)
            or made.parent in Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).parents
        )
        return shutil.copy(_ctypes.__file__, str(made))

    monkeypatch.setattr(library, "name_of", lambda *of: "loop")
    monkeypatch.setattr(library, "loop", lambda *of: None)
    monkeypatch.setattr("torch._inductor.aot_compile", compile_)
    network = nn.Sequential(linear(4, 3, (2,)))
    for _ in range(2):
        opened = library.opened(Learner(network, nn.LossMSE(), nn.SGD(network)), [])
        assert opened.PyInit__ctypes
    assert len(scratch) == (1 if kept in ("kept", "damaged") else 2)
    assert not any(folder.exists() for folder in scratch)
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "file")


@needs_compiler
def test_what_is_not_finite_stays_where_it_is_plainly() -> None:
    """ReLU picks by a comparison there, not by bits; neighbours in the stack are none the wiser."""

    def trained(compiled_way: bool, x: Tensor) -> list[Tensor]:
        draws = [data.generator(seed, "init") for seed in range(3)]
        layers = [nn.Linear(4, 8, stack=(3,), generators=draws), nn.ReLU()]
        network = nn.Sequential(*layers, nn.Linear(8, 2, stack=(3,), generators=draws))
        loss, sgd = nn.LossMSE("sample"), nn.SGD(network)
        target = torch.zeros(*x.shape[:-1], 2)
        if compiled_way:
            learner = Learner(network, loss, sgd)
            compiled.Steps(learner, x, target, 1).run(learner, x, target, torch.tensor(0.01))
        else:
            for batch, wanted in zip(x, target, strict=True):
                network.reset_gradient()
                output = network.forward(batch)
                network.accumulate(loss.grad(output, wanted))
                sgd.step(0.01)
        return [value for _, value, _ in network.parameters()]

    usual = torch.rand(4, 3, 6, 4)
    for special in (math.nan, math.inf, -math.inf, 3e38):
        x = usual.clone()
        x[1, 1, 2, 3] = special
        for ours, plain in zip(trained(True, x), trained(False, x), strict=True):
            assert torch.equal(ours.isfinite(), plain.isfinite())
            torch.testing.assert_close(ours[[0, 2]], plain[[0, 2]])
