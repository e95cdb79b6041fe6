"""Layers that join others in a config, and what layers need of the samples that they are given."""

from __future__ import annotations

from pathlib import Path

import pytest

from minifw.config import loading
from minifw.config.wiring import wiring
from minifw.errors import MinifwError
from minifw.experiment import plan

HEAD = "name: a\nloss: mse\ntrain: {{epochs: 2, eta: 0.1, mode: {mode}, batch_size: {batch}}}\n"
POINTS = "data: {kind: disk, train: 201, test: 20}\n"
TOKENS = "data: {kind: modular-addition, modulus: 5, normalize: false}\n"


def planned(
    tmp_path: Path, data: str, *layers: str, mode: str = "sgd", batch: int = 20, **more: str
) -> plan.Plan:
    network = "network:\n" + "".join(f"  - {layer}\n" for layer in layers)
    file = tmp_path / "a.yaml"
    file.write_text(HEAD.format(mode=mode, batch=batch) + data + network)
    config = loading.load(file, [f"{key}={value}" for key, value in more.items()])
    return plan.plan(config, 2, [mode], None)  # type: ignore[list-item]


TWO = "linear: 2"
ATTENTION = [
    "{linear: 12, name: wide}",
    "{unflatten: [4, 3], name: rows}",
    "{kind: transpose, name: turned}",
    "matmul: [rows, turned]",
    "scale: 0.5",
    "{softmax: -1, name: weights}",
    "matmul: [weights, rows]",
    "{kind: flatten, name: found}",
    "{add: [found, wide], name: total}",
    "{slice: 0, stop: 8, from: total, name: left}",
    "{slice: -4, from: total, name: right}",
    "{concat: [right, left, right], name: both}",
    "{kind: negate, from: both, name: less}",
    "{subtract: [both, less], name: more}",
    "{multiply: [more, both, less], name: product}",
    "{divide: [product, product]}",
    "shift: 1",
    "reciprocal",
    TWO,
]


def test_sizes_of_layers_that_join_others(tmp_path: Path) -> None:
    made = planned(tmp_path, POINTS, *ATTENTION, batch=10)
    sizes = wiring(made.config).sizes(2)
    assert [size.shape for size in sizes] == [
        (12,), (4, 3), (3, 4), (4, 4), (4, 4), (4, 4), (4, 3), (12,), (12,), (8,), (4,), (16,),
        (16,), (16,), (16,), (16,), (16,), (16,), (2,),
    ]  # fmt: skip
    assert [size.operations for size in sizes[1:-1]] == [
        0, 0, 4 * 4 * 5, 16, 48, 4 * 3 * 7, 0, 12, 0, 0, 0, 16, 16, 32, 16, 16, 16,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (["{linear: 3, name: a}", "{linear: 4, name: b}", "add: [a, b]"],
         "add: expects two or more inputs of one shape, got 3 and 4"),
        (["{linear: 3, name: a}", "{linear: 3, name: b}", "subtract: [a, b, a]"],
         "subtract: expects two inputs of one shape, got 3 and 3 and 3"),
        (["{linear: 4, name: a}", "{unflatten: [2, 2], name: b}", "concat: [a, b]"],
         "concat: expects two or more inputs that differ in dimension 0 of a sample at most, got 4 "
         "and 2x2"),
        (["{linear: 4, name: a}", "concat: [a, a]\n    dim: 1"], "concat: dim must be .* below 1"),
        (["{linear: 4, name: a}", "matmul: [a, a]"], r"matmul: expects samples \(n, k\) and \(k, m"),
        (["linear: 4", "slice: 4"], "slice: keeps nothing of 4 numbers from 4 to None"),
        (["linear: 4", "{slice: 0, dim: -2}"], "slice: a sample 4 has no dimension -2"),
        (["linear: 4", "transpose"], r"transpose: expects samples \(n, m\), got 4"),
        (["linear: 4", "softmax: -2"], r"softmax: a sample \(4,\) has no dimension -2"),
        (["linear: 4", "prelu: 3"], "prelu: num_parameters must be 1, or 4 for the channels"),
        (["linear: 4", "batch-norm2d"], r"batch-norm2d: expects samples \(channels, height, width"),
        (["linear: 4", "{kind: batch-norm1d, num_features: 3}"],
         "expects num_features 3, but network.0 .line 6. gives 4"),
    ],
)  # fmt: skip
def test_layers_that_do_not_fit_are_named(tmp_path: Path, layers: list[str], message: str) -> None:
    with pytest.raises(MinifwError, match=message):
        planned(tmp_path, POINTS, *layers, TWO)


def test_a_batch_that_is_too_small_is_found_before_a_run_begins(tmp_path: Path) -> None:
    norm = ["linear: 4", "batch-norm1d", TWO]
    message = (
        "batch-norm1d, needs 2 or more samples in training; 201 samples in batches of {} leave 1"
    )
    for batch in (1, 20, 200):
        with pytest.raises(MinifwError, match=message.format(batch)):
            planned(tmp_path, POINTS, *norm, batch=batch)
    with pytest.raises(MinifwError, match="data: network.1.*, needs 2 or more samples.*, got 1"):
        planned(tmp_path, POINTS.replace("201", "1"), *norm, mode="full-batch")
    planned(tmp_path, POINTS, *norm, batch=50, mode="full-batch")
    planned(tmp_path, POINTS, *norm, batch=19)
    long = ["linear: 4", "unflatten: [2, 2]", "batch-norm1d", "flatten", TWO]
    planned(tmp_path, POINTS, *long)  # each channel has two numbers of a sample


def test_numbers_that_are_no_tokens_are_found_before_a_run_begins(tmp_path: Path) -> None:
    layers = ["{embedding: 3, num_embeddings: %d}", "flatten", "linear: 5"]
    assert planned(tmp_path, TOKENS, layers[0] % 5, *layers[1:], batch=5).config
    with pytest.raises(
        MinifwError,
        match="network.0: takes whole numbers from 0 to 3, but the data has numbers from 0 to 4$",
    ):
        planned(tmp_path, TOKENS, layers[0] % 4, *layers[1:], batch=5)
    with pytest.raises(
        MinifwError, match=r"from 0 to 4, but the data .*; data.normalize must be false"
    ):
        planned(tmp_path, TOKENS, layers[0] % 5, *layers[1:], batch=5, **{"data.normalize": "true"})
    with pytest.raises(
        MinifwError, match="takes whole numbers from 0 to 4, but the data has numbers from"
    ):
        planned(tmp_path, POINTS, layers[0] % 5, "flatten", TWO)
