"""MNIST's files, and images as rows: read right, each damage told, trained on and asked about."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy
from numpy.typing import NDArray

import minifw as library
from campaigns.enlarged import enlarged, idx_bytes, write_idx, write_pair
from conftest import Minifw
from minifw import nn
from minifw.data import generator, idx, images
from minifw.data.dataset import stack_seeds
from minifw.errors import ArtefactError, DataError

LINEAR = {
    "name": "a", "seeds": 2, "loss": "cross-entropy", "network": [{"linear": 10}],
    "train": {"eta": 0.1, "epochs": 2, "eval_every": 1},
}  # fmt: skip
CONV = [{"unflatten": [1, 28, 28]}, {"conv2d": 2, "kernel_size": 5, "stride": 4}, "flatten",
        {"linear": 10}]  # fmt: skip


def small(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images of 3×4 pixels, and classes of which there are three."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 3, 4), np.uint8), np.arange(count, dtype=np.uint8) % 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty images for training, and eight for testing."""
    write_pair(tmp_path / "files", "train", *small(20))
    write_pair(tmp_path / "files", "t10k", *small(8, seed=1), ".gz")
    return tmp_path / "files"


def config(tmp_path: Path, **data: Any) -> Path:
    """A config beside the folder `files`; `network` replaces the network."""
    network = data.pop("network", LINEAR["network"])
    content = LINEAR | {"network": network, "data": {"kind": "idx", "path": "files"} | data}
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


# ----------------------------------------------------------------------------------- the format


def test_the_bytes_of_a_file_by_hand() -> None:
    content = bytes.fromhex("0000 0803 00000002 00000001 00000002 01ff 0002")
    found = idx.array_of(Path("a"), content)
    assert found.dtype == np.uint8
    assert found.tolist() == [[[1, 255]], [[0, 2]]]
    shorts = bytes.fromhex("0000 0b01 00000002 0001 fffe")
    assert idx.array_of(Path("a"), shorts).tolist() == [1, -2]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["u1", "i1", "i2", "i4", "f4", "f8"]).flatmap(
        lambda kind: of_numpy.arrays(
            kind, of_numpy.array_shapes(min_dims=1, max_dims=4, min_side=0)
        )
    ),
    st.booleans(),
)
def test_what_is_written_is_read(array: NDArray[Any], compressed: bool) -> None:
    content = idx_bytes(array)
    found = idx.array_of(Path("a"), gzip.compress(content, 1) if compressed else content)
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.booleans())
def test_any_bytes_are_an_array_or_one_line(tail: bytes, begins: bool) -> None:
    content = b"\0\0" + tail if begins else tail
    try:
        found = idx.array_of(Path("a"), content)
    except DataError as fault:
        assert len(fault.lines) == 1  # noqa: PT017
    else:
        assert found.size == 0 or idx_bytes(found) == content


def damaged(content: bytes, how: str) -> bytes:
    """The content of a file of twenty images, damaged."""
    return {
        "cut": content[:-1], "longer": content + b"x", "magic": b"\x01" + content[1:],
        "type": content[:2] + b"\x0a" + content[3:], "head": content[:9], "empty": b"",
        "none": content[:4] + struct.pack(">3I", 0, 3, 4), "flat": content[:3] + b"\1" + struct.pack(">I", 240) + content[16:],
        "gzip": gzip.compress(content, mtime=0)[:-9],
    }[how]  # fmt: skip


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "is cut off: 20x3x4 numbers take 256 bytes, it has 255; is the file whole?"),
        ("longer", "has bytes after its end: 20x3x4 numbers take 256 bytes, it has 257; is the file whole?"),
        ("magic", "is no IDX file: it must begin with 00 00, got 01 00 08 03"),
        ("type", "is no IDX file: its third byte must be a type of numbers, 08, 09, 0b, 0c, 0d, 0e, got 0a"),
        ("head", "is cut off: 3 sizes take 16 bytes, it has 9"),
        ("empty", "is no IDX file: it must begin with 00 00, got nothing"),
        ("none", "expects images, (samples, height, width), got 0x3x4"),
        ("flat", "expects images, (samples, height, width), got 240"),
        ("gzip", "cannot be read as data: Compressed file ended before the end-of-stream marker was reached"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_told_in_one_line(folder: Path, how: str, message: str) -> None:
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(DataError) as caught:
        idx.read_idx(folder)
    assert caught.value.lines == (f"{path}: {message}",)


def test_files_that_do_not_fit_one_another(folder: Path) -> None:
    labels = folder / "train-labels-idx1-ubyte"
    whole = labels.read_bytes()
    write_idx(labels, np.zeros(19, np.uint8))
    with pytest.raises(
        DataError, match="a class for each of the 20 images of train-images-idx3-ubyte, got 19$"
    ):
        idx.read_idx(folder)
    write_idx(labels, np.zeros(20, np.float32))
    with pytest.raises(
        DataError, match="a whole number for each sample, the class, got float32 of 20$"
    ):
        idx.read_idx(folder)
    labels.write_bytes(whole)
    write_pair(folder, "t10k", np.zeros((8, 4, 3), np.uint8), np.arange(8), ".gz")
    with pytest.raises(DataError, match="images as in train-images-idx3-ubyte, 3x4, got 4x3$"):
        idx.read_idx(folder)


def test_files_are_found_by_their_names(tmp_path: Path) -> None:
    def files() -> list[str]:
        found = idx.files_of(tmp_path, None, None)
        return [path.name for path in (*found.train, *(found.test or ()))]

    assert not Path(tmp_path, "none").exists()
    with pytest.raises(DataError, match="no such folder; --set data.path=FOLDER names"):
        idx.files_of(tmp_path / "none", None, None)
    with pytest.raises(
        DataError, match=r"no file of images such as train-images-idx3-ubyte .*data.images"
    ):
        files()
    names = [f"emnist-{split}-{part}-{what}-ubyte.gz" for split in ("balanced", "letters")
             for part in ("train", "test") for what in ("images-idx3", "labels-idx1")]  # fmt: skip
    for name in names[:4]:
        (tmp_path / name).touch()
    assert files() == names[:4]
    for name in names[4:]:
        (tmp_path / name).touch()
    with pytest.raises(
        DataError, match="there are 2 files of images for training: emnist-balanced.* data.images"
    ):
        files()
    found = idx.files_of(tmp_path, names[4], None)
    assert [path.name for path in (*found.train, *(found.test or ()))] == names[4:]
    (tmp_path / names[5]).unlink()
    with pytest.raises(
        DataError, match="no file of classes 'emnist-letters-train-labels.*data.labels"
    ):
        idx.files_of(tmp_path, names[4], None)
    assert idx.files_of(tmp_path, names[4], names[1]).train[1].name == names[1]
    with pytest.raises(DataError, match="is a file; data.path names the folder"):
        idx.files_of(tmp_path / names[0], None, None)


# ---------------------------------------------------------------------------------- the samples


def test_samples_are_rows_of_bytes_and_the_test_files_come_last(folder: Path) -> None:
    table = idx.read_idx(folder)
    (first, of_first), (last, of_last) = small(20), small(8, seed=1)
    assert table.inputs.dtype == np.uint8
    np.testing.assert_array_equal(table.inputs.reshape(-1, 3, 4), np.concatenate([first, last]))
    np.testing.assert_array_equal(table.labels, np.concatenate([of_first, of_last]))
    assert (table.tests, table.classes) == (8, ("0", "1", "2"))
    assert table.features[0] == "x[0,0,0]"
    assert table.features[-1] == "x[0,2,3]"
    assert images.image_of(table.features) == (1, 3, 4)
    with pytest.raises(ArtefactError, match="changed since the run began"):
        idx.read_idx(folder, expected="0" * 64)
    before = table.checksum
    write_pair(folder, "t10k", *small(8, seed=2), ".gz")
    assert idx.read_idx(folder).checksum != before


def test_each_seed_draws_of_the_training_files_and_tests_on_the_test_files(
    folder: Path, tmp_path: Path
) -> None:
    path = config(tmp_path, train=10, validation=2, normalize=False)
    run = library.train(path, runs_dir=tmp_path, progress=False, overrides={"network.0.linear": 3})
    data = run.data()
    assert {name: part.count for name, part in data.parts.items()} == {
        "train": 8, "test": 8, "validation": 2,
    }  # fmt: skip
    (own, _), (tests, of_tests) = small(20), small(8, seed=1)
    assert data.validation is not None
    for place in range(2):
        order = generator(place, "data").permutation(20)[:10]
        drawn = torch.cat([data.train.inputs[place], data.validation.inputs[place]]).numpy()
        np.testing.assert_array_equal(drawn, own.reshape(20, -1)[order])
        np.testing.assert_array_equal(data.test.inputs[place].numpy(), tests.reshape(8, -1))
        np.testing.assert_array_equal(data.test.class_numbers[place].numpy(), of_tests)


def test_what_the_test_files_forbid(folder: Path, tmp_path: Path, minifw: Minifw) -> None:
    path = config(tmp_path, test=5, network=[{"linear": 3}])
    told = minifw("validate", path)
    assert (told.code, told.err) == (
        2, f"{folder}: has 8 test samples in files of their own; data.test must be left out\n"
    )  # fmt: skip
    folds = library.train(
        config(tmp_path, folds=4, network=[{"linear": 3}]),
        runs_dir=tmp_path, progress=False, overrides={"seeds": 4},
    ).data()  # fmt: skip
    tested = np.concatenate([*folds.test.inputs.numpy()])
    assert tested.shape == (20, 12)  # all of the training files, once


# --------------------------------------------------------------------------------- normalisation


def test_together_is_one_shift_and_scale() -> None:
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 256, (50, 6)).astype(float), rng.integers(0, 256, (9, 6)) * 1.0
    train[:, 2] = 0
    train[0, 2] = 1e-3  # nearly constant in training
    draws = [[(train, np.arange(50) % 2), (test, np.arange(9) % 2)]]
    data = stack_seeds(
        draws, seeds=[0], features=[*"abcdef"], classes=["0", "1"], normalize="together",
        one_hot=True, dtype=torch.float64,
    )  # fmt: skip
    np.testing.assert_allclose(data.shift, np.full((1, 6), train.mean()))
    np.testing.assert_allclose(data.scale, np.full((1, 6), train.std()))
    np.testing.assert_allclose(data.test.inputs[0], (test - train.mean()) / train.std())
    each = stack_seeds(
        draws, seeds=[0], features=[*"abcdef"], classes=["0", "1"], normalize=True,
        one_hot=True, dtype=torch.float64,
    )  # fmt: skip
    assert each.test.inputs.max() > 1e5
    assert data.test.inputs.max() < 3


def test_pixels_are_normalised_together_by_default(folder: Path, tmp_path: Path) -> None:
    path = config(tmp_path, train=15, network=[{"linear": 3}])
    data = library.train(path, runs_dir=tmp_path, progress=False).data()
    for place in range(2):
        rows = small(20)[0].reshape(20, -1)[generator(place, "data").permutation(20)[:15]]
        assert np.unique(data.shift[place]) == pytest.approx([rows.mean()])
        assert np.unique(data.scale[place]) == pytest.approx([rows.std()])


# ----------------------------------------------------------------------------- images, everywhere


def npz(path: Path, samples: NDArray[Any], labels: NDArray[Any]) -> Path:
    np.savez(path, x=samples, y=labels)
    return path


@pytest.mark.parametrize("shape", [(3, 4), (1, 3, 4), (2, 3, 2)])
def test_images_in_an_archive_are_rows(tmp_path: Path, minifw: Minifw, shape: Any) -> None:
    rng = np.random.default_rng(0)
    samples = rng.integers(0, 256, (30, *shape), np.uint8)
    file = npz(tmp_path / "a.npz", samples, np.arange(30) % 3)
    image = shape if len(shape) == 3 else (1, *shape)
    layers = [{"unflatten": [*image]}, {"conv2d": 2, "kernel_size": 2}, "flatten", {"linear": 3}]
    path = config(tmp_path, kind="npz", path="a.npz", normalize=False, network=layers)
    run = library.train(
        path, runs_dir=tmp_path, progress=False, mode="sgd", overrides={"train.batch_size": 8}
    )
    data, order = run.data(), generator(0, "data").permutation(30)
    np.testing.assert_array_equal(data.train.inputs[0].numpy(), samples.reshape(30, -1)[order[:24]])
    assert data.features[-1] == f"x[{','.join(str(size - 1) for size in image)}]"
    # A row becomes the image that it was.
    kept = nn.Unflatten(image)(data.train.inputs[0]).numpy()
    np.testing.assert_array_equal(kept, samples.reshape(30, *image)[order[:24]])
    asked = minifw("predict", run.path, file, "--json")
    assert len(asked.json["rows"]) == 30
    other = npz(tmp_path / "b.npz", samples[:, ..., :-1], np.arange(30) % 3)
    assert (
        f"expects 'x' of shape (samples, {', '.join(map(str, image))}), got"
        in minifw("predict", run.path, other).err
    )


def test_a_convolution_of_rows_is_told_the_layer_it_lacks(tmp_path: Path, minifw: Minifw) -> None:
    write_pair(tmp_path / "files", "train", *small(20))
    told = minifw(
        "validate",
        config(tmp_path, network=[{"conv2d": 2, "kernel_size": 2}, "flatten", {"linear": 3}]),
    )
    assert told.code == 2
    assert told.err.endswith(
        "network.0: conv2d: expects samples (channels, height, width), got (12,); a layer before "
        "it makes images of rows: `- unflatten: [1, 3, 4]`\n"
    )
    layer = told.err.partition("`- ")[2].partition("`")[0]
    mended = [yaml.safe_load(layer), {"conv2d": 2, "kernel_size": 2}, "flatten", {"linear": 3}]
    assert minifw("validate", config(tmp_path, network=mended)).code == 0
    behind = minifw("validate", config(tmp_path, network=["relu", mended[1], *mended[2:]]))
    assert behind.err.endswith("network.1: " + told.err.partition("network.0: ")[2])
    normed = [{"layer-norm": {}}, {"linear": 5}, "relu", mended[1], *mended[2:]]
    assert (
        "`- unflatten: [channels, height, width]`"
        in minifw("validate", config(tmp_path, network=normed)).err
    )
    later = [{"linear": 12}, {"conv2d": 2, "kernel_size": 2}, "flatten", {"linear": 3}]
    assert (
        "`- unflatten: [channels, height, width]`"
        in minifw("validate", config(tmp_path, network=later)).err
    )
    own = minifw(
        "validate",
        "digits-cnn",
        "--set",
        "network=[{conv2d: 2, kernel_size: 2}, flatten, {linear: 10}]",
    )
    assert own.err.endswith("`- unflatten: [1, 8, 8]`\n")


def test_names_that_are_no_images() -> None:
    for names in (["x[0]", "x[1]"], ["a"], ["x[0,0,0]", "x[0,0,2]"], ["y[0,0,0]", "x[0,0,1]"],
                  ["x[0,0,99999]"], ["pixel_9_9"]):  # fmt: skip
        assert images.image_of(names) is None


# --------------------------------------------------------------------------- from a file to a run


def test_trained_resumed_and_asked(tmp_path: Path, minifw: Minifw) -> None:
    pixels, classes = enlarged()
    write_pair(tmp_path / "files", "train", pixels[:200], classes[:200], ".gz")
    write_pair(tmp_path / "files", "t10k", pixels[200:260], classes[200:260])
    path = config(tmp_path, train=150, network=CONV)
    trained = minifw("train", path, "--json")
    assert trained.code == 0
    folder = tmp_path / "files"
    asked = minifw(
        "predict",
        trained.json["run_dir"],
        folder / "t10k-images-idx3-ubyte",
        "--seed",
        "0",
        "--json",
    )
    wrong = [
        row["class"] != str(label)
        for row, label in zip(asked.json["rows"], classes[200:260], strict=True)
    ]
    assert 100 * np.mean(wrong) == pytest.approx(trained.json["test_error"][0])
    assert (
        "has column 'labels' too"
        in minifw("predict", trained.json["run_dir"], folder / "train-images-idx3-ubyte.gz").err
    )
    labels = minifw("predict", trained.json["run_dir"], folder / "t10k-labels-idx1-ubyte")
    assert (labels.code, labels.err) == (
        2, f"{folder / 't10k-labels-idx1-ubyte'}: the run learnt from images of 1x28x28, this file has 60\n",
    )  # fmt: skip


def test_lenet_says_where_its_files_are_to_be(minifw: Minifw) -> None:
    told = minifw("train", "lenet")
    assert told.code == 2
    assert told.err.count("\n") == 1
    assert "there is no such folder; --set data.path=FOLDER names one that holds" in told.err


@pytest.mark.slow
def test_lenet_on_enlarged_digits(tmp_path: Path) -> None:
    pixels, classes = enlarged()
    write_pair(tmp_path, "train", pixels[:1437], classes[:1437])
    write_pair(tmp_path, "t10k", pixels[1437:], classes[1437:])
    changes = {"data.path": str(tmp_path), "data.train": 1437}
    run = library.train("lenet", runs_dir=tmp_path, progress=False, overrides=changes)
    assert len(run.seeds) == 5
    assert np.median(run.test_error) == pytest.approx(1.1, abs=0.5)
