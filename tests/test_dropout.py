"""Dropout and its random numbers: the distribution, what they depend on, and what they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from cases import normal
from minifw import nn
from minifw.compile.compilers import find_compiler
from minifw.data import Dataset, Samples
from minifw.errors import ModuleError, ShapeError
from minifw.nn import Buffers, Dropout, random
from minifw.training.compiled import Steps
from minifw.training.division import Division
from minifw.training.fit import fit
from minifw.training.learner import Learner
from minifw.training.placement import Schedule

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C compiler")

UNLIKELY = 1e-6


def streams(keys: Any, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return streams `(networks, 6)` with these keys of four numbers, at their beginning."""
    keys = torch.tensor(np.asarray(keys), dtype=dtype)
    return torch.cat([keys, keys.new_zeros(len(keys), 2)], 1)


def drawn(keys: Any, calls: int, places: int) -> Any:
    """Return random numbers of 24 bits, `(networks, calls, places)`."""
    of_keys, found = streams(keys), []
    for _ in range(calls):
        random.advance(of_keys)
        found.append(random.uniform(of_keys, (places,)) * 2**24)
    return torch.stack(found, 1).long().numpy()


def evenly(numbers: Any, bins: int) -> float:
    """Return how likely counts as uneven as these are if all whole numbers < bins are equal."""
    return float(stats.chisquare(np.bincount(numbers.ravel(), minlength=bins)).pvalue)


KEYS = [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [40503, 31, 65535, 7]]


@pytest.mark.parametrize(("calls", "places"), [(1, 1 << 18), (512, 512), (1 << 14, 16)])
def test_numbers_are_uniform_and_independent(calls: int, places: int) -> None:
    """Of places, calls and networks, with keys of one bit too: bytes, and pairs at a distance."""
    numbers = drawn(KEYS, calls, places)
    likely = [evenly(numbers[k] >> shift & 255, 256) for k in range(4) for shift in (0, 8, 16)]
    for axis in (1, 2):
        for lag in (1, 2, 3, 64):
            turned = numbers.swapaxes(0, axis)
            if len(turned) > lag:
                pairs = (turned[:-lag] >> 19) * 32 + (turned[lag:] >> 19)
                likely += [evenly(pairs, 1024)]
    for a, b in ((0, 1), (0, 2), (1, 2), (2, 3)):
        likely.append(evenly((numbers[a] >> 19) * 32 + (numbers[b] >> 19), 1024))
    assert min(likely) > UNLIKELY
    assert stats.kstest(likely, "uniform").pvalue > UNLIKELY


def test_keys_that_differ_in_one_bit_have_other_numbers() -> None:
    base = np.array([40503, 31, 65535, 7])
    others = [base ^ (np.arange(4) == word) * (1 << bit) for word in range(4) for bit in range(16)]
    first, *rest = drawn([base, *others], 64, 1024)
    likely = [evenly((first >> 20) * 16 + (one >> 20), 256) for one in rest]
    assert min(likely) > UNLIKELY
    assert stats.kstest(likely, "uniform").pvalue > UNLIKELY


def test_masks_of_many_calls_are_uncorrelated() -> None:
    """Between calls and between places: sums of products of ±1 are normal with variance n."""
    signs = 2.0 * (drawn(KEYS[3:], 512, 512)[0] >> 23) - 1
    for rows in (signs, signs.T):
        z = (rows @ rows.T)[np.triu_indices(512, 1)] / np.sqrt(512)
        assert abs(z).max() < 6
        assert z.std() == pytest.approx(1, abs=0.02)


def test_the_counters_never_stand_still_and_carry_far() -> None:
    """In float32 a number ends at 2^24; each counter ends before, and begins again."""
    for dtype in (torch.float32, torch.float64):
        stream = streams([[65535, 65535, 0, 0]], dtype)
        stream[0, 4:] = torch.tensor(random.PRIMES, dtype=dtype) - 2
        rows = []
        for _ in range(4):
            random.advance(stream)
            rows.append(stream[0].tolist())
        p, q = random.PRIMES
        assert [row[4:] for row in rows] == [[p - 1, q - 1], [0, 0], [1, 1], [2, 2]]
        assert {tuple(row[:4]) for row in rows} == {(65535, 65535, 0, 0)}
    for prime in random.PRIMES:  # different primes: together they repeat after their product
        assert prime < 2**24
        assert all(prime % n for n in range(2, int(prime**0.5) + 1))


def test_numbers_are_those_that_are_written_down() -> None:
    """They must stay the same for ever: every published number of a dropout depends on them."""
    stream = streams([[1, 2, 3, 4]])
    random.advance(stream)
    numbers = random.uniform(stream, (2, 2)) * 2**24
    assert numbers.shape == (1, 2, 2)
    assert numbers.flatten().tolist() == [15467601, 13101929, 16442243, 15851866]


def test_a_mask_is_what_uniform_says() -> None:
    for dtype in (torch.float32, torch.float64):
        stream = streams(KEYS, dtype)
        random.advance(stream)
        for p in (0.0, 2.0**-24, 0.1, 0.5, 0.7, 1 - 2.0**-24, 1.0):
            below = random.uniform(stream, (3, 100)) < round(p * 2**24) / 2**24
            mask = random.mask(stream, p, (3, 100))
            assert mask.dtype == dtype
            torch.testing.assert_close(mask, below.to(dtype) / (p or 1), rtol=1e-7, atol=0)
            with Buffers().reuse("a"):
                assert torch.equal(random.mask(stream, p, (3, 100)), mask)


def make(p: float, seeds: range, dtype: torch.dtype = torch.float64) -> Dropout:
    module = Dropout(p, stack=(len(seeds),), dtype=dtype)
    module.reseed([np.random.default_rng(seed) for seed in seeds])
    return module


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_has_the_masks_that_it_has_alone(dtype: torch.dtype) -> None:
    x = torch.ones(5, 7, 3, dtype=dtype)
    stack = make(0.4, range(5), dtype)
    alone = [make(0.4, range(k, k + 1), dtype) for k in range(5)]
    before = torch.zeros(0)
    for _ in range(3):
        together = stack.forward(x)
        for k, module in enumerate(alone):
            assert torch.equal(module.forward(x[k : k + 1])[0], together[k])
        assert not torch.equal(together, before)
        before = together
    assert len({tuple(row) for row in together.flatten(1).tolist()}) == 5


def test_masks_are_the_same_in_both_dtypes() -> None:
    single, double = make(0.4, range(3), torch.float32), make(0.4, range(3))
    x = torch.ones(3, 50, 4)
    for _ in range(3):
        assert torch.equal(single.forward(x) != 0, double.forward(x.double()) != 0)


def test_a_stream_goes_on_after_a_break() -> None:
    x = torch.ones(2, 4, 5, dtype=torch.float64)
    one, other = make(0.5, range(2)), make(0.5, range(7, 9))
    one.forward(x)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.forward(x), other.forward(x))


def test_what_dropout_gives() -> None:
    module = make(0.25, range(2))
    x = torch.randn(2, 2000, 50, dtype=torch.float64)
    y = module.forward(x)
    kept = y != 0
    torch.testing.assert_close(y[kept], x[kept] / 0.75, rtol=1e-7, atol=0)
    count = kept.sum((1, 2))
    assert all(stats.binomtest(int(n), 100_000, 0.75).pvalue > UNLIKELY for n in count)
    g = torch.randn_like(x)
    torch.testing.assert_close(
        module.backward(g), torch.where(kept, g / 0.75, 0.0), rtol=1e-7, atol=0
    )


def test_in_use_nothing_is_dropped_or_drawn() -> None:
    module = make(0.5, range(2)).eval()
    before, x = module.stream.clone(), torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.equal(module.forward(x), x)
    assert torch.equal(module.backward(x), x)
    assert torch.equal(module.stream, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_is_computed_on_the_device_of_the_stream(dtype: torch.dtype) -> None:
    """Numbers that are kept between calls were on the CPU, which no GPU combines with its own."""
    layer = Dropout(0.5, stack=(2,), dtype=dtype, device="meta")
    x = torch.empty(2, 3, 4, dtype=dtype, device="meta")
    assert layer.forward(x).device.type == "meta"
    assert layer.backward(x).device.type == "meta"
    stream = random.new_streams((3,), None, torch.empty(0, dtype=dtype))
    words = random._words(stream.device)
    numbers = stream.to(torch.int32)
    sums = (numbers.unsqueeze(-1) * words).sum(-2, dtype=torch.int32)  # as on a GPU
    assert torch.equal(sums, torch.matmul(numbers, words))


def test_extreme_probabilities() -> None:
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.equal(make(0.0, range(2)).forward(x), x)
    none = make(1.0, range(2))
    assert torch.equal(none.forward(x), 0 * x)
    assert torch.equal(none.backward(x), 0 * x)
    assert make(0.5, range(2)).forward(x[:, :0]).shape == (2, 0, 4)


def test_each_layer_of_a_network_has_its_own_masks() -> None:
    network = nn.Sequential(Dropout(0.5, stack=(2,)), nn.Identity(), Dropout(0.5, stack=(2,)))
    network.reseed([np.random.default_rng(seed) for seed in range(2)])
    x = torch.ones(2, 30, 40)
    first, _, last = network
    a, b = first.forward(x), last.forward(x)
    assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.12


def test_without_generators_torch_seeds_it() -> None:
    streams_of = []
    for _ in range(2):
        torch.manual_seed(3)
        streams_of.append(Dropout(0.5, stack=(4,)).stream)
    assert torch.equal(*streams_of)
    assert len(torch.unique(streams_of[0], dim=0)) == 4


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), "a", True, None])
def test_wrong_probabilities_are_refused(p: Any) -> None:
    with pytest.raises(ModuleError, match="Dropout: p must be a number from 0 to 1, got"):
        Dropout(p)


def test_wrong_inputs_are_refused() -> None:
    module = make(0.5, range(2))
    for x in (torch.ones(3, 4).double(), torch.ones(2, 3, 4)):
        with pytest.raises(ShapeError, match=r"Dropout\(0.5\).forward: expects an input of shape"):
            module.forward(x)


def network_of(stack: tuple[int, ...], dtype: torch.dtype) -> nn.Network:
    given: dict[str, Any] = {"stack": stack, "dtype": dtype}
    draws = [np.random.default_rng(seed) for seed in range(int(np.prod(stack)))]
    network = nn.Sequential(
        Dropout(0.1, **given), nn.Linear(3, 21, generators=draws, **given), nn.Tanh(),
        Dropout(0.5, **given), nn.Linear(21, 2, generators=draws, **given),
    )  # fmt: skip
    network.reseed(draws)
    return network


def samples_of(stack: tuple[int, ...], count: int, dtype: torch.dtype) -> Samples:
    x, target = (normal(*stack, count, n, seed=n).to(dtype) for n in (3, 2))
    return Samples(x, target, torch.zeros(*stack, count, dtype=torch.int64))


@needs_compiler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("count", "batch"), [(5, 1), (20, 7), (150, 150)])
def test_compiled_steps_drop_the_same_numbers(dtype: torch.dtype, count: int, batch: int) -> None:
    network, samples = network_of((3,), dtype), samples_of((3,), count, dtype)
    learner = Learner(network, nn.LossMSE(), nn.SGD(network, 0.9))
    other = learner.on([value.clone() for value in learner.state])
    steps = Steps(learner, samples, batch).on(learner, samples)
    for _ in range(2):
        last, _ = steps.run(None, 0.1)
        for x, target in zip(
            torch.split(samples.inputs, batch, 1),
            torch.split(samples.targets, batch, 1),
            strict=True,
        ):
            output = other.step(x, target, 0.1)
    close = 1e-3 if dtype == torch.float32 else 1e-12  # one number more or less is a tenth
    torch.testing.assert_close(
        [last, *learner.state], [output, *other.state], rtol=close, atol=close
    )
    for (name, ours), (_, theirs) in zip(network.states(), other.network.states(), strict=True):
        assert torch.equal(ours, theirs), name
        assert ours[0, 4] == 2 * -(-count // batch)


@needs_compiler
def test_one_column_is_dropped_the_same() -> None:
    """There vectors go down the column."""
    given: dict[str, Any] = {"stack": (2,), "dtype": torch.float64}
    network = nn.Sequential(
        nn.Linear(3, 1, **given), Dropout(0.5, **given), nn.Linear(1, 2, **given)
    )
    learner = Learner(network, nn.LossMSE(), nn.SGD(network))
    other = learner.on([value.clone() for value in learner.state])
    samples = samples_of((2,), 40, torch.float64)
    Steps(learner, samples, 40).on(learner, samples).run(None, 0.1)
    other.step(samples.inputs, samples.targets, 0.1)
    torch.testing.assert_close(learner.state, other.state, rtol=1e-12, atol=1e-12)


def test_shards_and_breaks_change_nothing() -> None:
    """Five seeds at once, in parts on threads, and interrupted: the same weights."""
    dtype, stack = torch.float64, (5,)
    given = samples_of(stack, 30, dtype)
    none = np.zeros((5, 3))
    data = Dataset(given, given, ("a", "b", "c"), ("d", "e"), shift=none, scale=none)
    ends = []
    for schedule in (Schedule(), Schedule(Division(2, 2)), None):
        network = network_of(stack, dtype)
        sgd, loss = nn.SGD(network, 0.9), nn.LossMSE()
        epochs = (4,) if schedule is not None else (1, 3, 4)
        history = None
        for until in epochs:
            history = fit(
                network, loss, sgd, data, epochs=until, eta=0.1, batch_size=7,
                schedule=schedule or Schedule(), history=history,
            )  # fmt: skip
        ends.append([value.clone() for value in network.tensors().values()])
    for other in ends[1:]:
        assert all(torch.equal(a, b) for a, b in zip(ends[0], other, strict=True))
