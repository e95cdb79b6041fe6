"""Images as rows: a feature for each number of an image, named by its place.

An image is `(channels, height, width)`, and a network takes rows, so the names of the features keep
the shape: `x[0,3,5]` is row 3, column 5 of the first channel. A layer `unflatten` makes images of
them again.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence

from minifw.errors import DataError

Image = tuple[int, int, int]
"""The shape of an image: channels, height, width."""

MOST = 100_000
"""Features that a sample may have."""

_OURS = re.compile(r"(.*)\[(\d+),(\d+),(\d+)\]", re.DOTALL)
_SKLEARN = re.compile(r"(pixel)_(\d+)_(\d+)")


def image_shape(shape: Sequence[int]) -> Image | None:
    """Return the shape of the images of an array, (n, h, w) or (n, c, h, w); None of other ones."""
    if len(shape) not in (3, 4):
        return None
    channels, height, width = (1, *shape[1:])[-3:]
    return channels, height, width


def image_names(array: str, image: Image) -> list[str]:
    """Return the names of the features of images, in the order of their numbers."""
    return [
        f"{array}[{','.join(map(str, place))}]" for place in itertools.product(*map(range, image))
    ]


def image_of(features: Sequence[str]) -> Image | None:
    """Return the shape of the images that samples with these features are, None if they are not.

    The digits of scikit-learn have names of their own, `pixel_7_7`.
    """
    last = features[-1]
    if found := _OURS.fullmatch(last):
        image = int(found[2]) + 1, int(found[3]) + 1, int(found[4]) + 1
        made = image_names(found[1], image) if math.prod(image) == len(features) else []
        return image if [*features] == made else None
    if found := _SKLEARN.fullmatch(last):
        height, width = int(found[2]) + 1, int(found[3]) + 1
        return (1, height, width) if height * width == len(features) else None
    return None


def check_size(where: str, image: Image) -> None:
    """Raise a DataError if an image has no numbers, or more than anybody would train on."""
    if not 1 <= math.prod(image) <= MOST:
        raise DataError(
            f"{where}: expects images of 1 to {MOST:,} numbers, got "
            f"{'x'.join(map(str, image))} of them"
        )
