"""Files like MNIST's, of images that everybody has: scikit-learn's digits, enlarged to 28×28.

    python -m campaigns.enlarged           trains lenet on them, and prints its test errors
    python -m campaigns.enlarged FOLDER    writes the files for
    minifw train lenet --set data.path=FOLDER --set data.train=1437

MNIST itself has 20×20 pixels of a digit in a frame of 28×28, 60,000 images for training and 10,000
for testing. These are 1437 and 360, interpolated linearly from 8×8 pixels, in an order drawn once.
"""

from __future__ import annotations

import gzip
import struct
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.datasets import load_digits

import minifw

CODES = {"u1": 8, "i1": 9, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
TRAIN = 1437


def idx_bytes(array: NDArray[Any]) -> bytes:
    """Return an array as the content of an IDX file."""
    code = CODES[array.dtype.str[1:]]
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return (
        struct.pack(">2xBB", code, array.ndim)
        + sizes
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


def write_idx(path: Path, array: NDArray[Any]) -> None:
    """Write an array as an IDX file, compressed if its name ends in .gz."""
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)


def write_pair(
    folder: Path, part: str, images: NDArray[Any], labels: NDArray[Any], end: str = ""
) -> None:
    """Write images and their classes under the names of MNIST's `train` or `t10k`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_idx(folder / f"{part}-images-idx3-ubyte{end}", images)
    write_idx(folder / f"{part}-labels-idx1-ubyte{end}", labels.astype(np.uint8))


def enlarged() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return scikit-learn's digits as bytes, (1797, 28, 28), and their classes."""
    loaded = load_digits()
    order = np.random.default_rng(0).permutation(len(loaded.target))
    large = ndimage.zoom(
        loaded.images[order], (1, 2.5, 2.5), order=1, grid_mode=True, mode="nearest"
    )
    framed = np.pad(large * (255 / 16), ((0, 0), (4, 4), (4, 4)))
    return np.rint(framed).astype(np.uint8), loaded.target[order].astype(np.uint8)


def write(folder: Path) -> None:
    """Write the four files into a folder."""
    images, labels = enlarged()
    write_pair(folder, "train", images[:TRAIN], labels[:TRAIN], ".gz")
    write_pair(folder, "t10k", images[TRAIN:], labels[TRAIN:], ".gz")


def main() -> None:
    """Write the files, or train on them."""
    if len(sys.argv) > 1:
        write(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "files"))
        changes = {"data.path": f"{folder}/files", "data.train": TRAIN}
        run = minifw.train("lenet", runs_dir=folder, overrides=changes)
        print("lenet, test errors in %:", " ".join(f"{error:.2f}" for error in run.test_error))


if __name__ == "__main__":
    main()
