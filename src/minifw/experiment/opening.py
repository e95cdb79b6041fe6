"""What a data file is, found by looking: its kind, and keys of how it is written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from minifw.config.columned import Csv
from minifw.config.starter import Key
from minifw.data import archives
from minifw.data.dialect import THOUSANDS, is_number
from minifw.data.encoded import as_utf8, encoding_of
from minifw.data.formats import opened
from minifw.data.layout import layout_of
from minifw.data.reading import read_bytes
from minifw.errors import DataError, short_word


def kind_and_content(path: Path) -> tuple[str, bytes]:
    """Return the kind of data that reads a file, and its bytes, unpacked if it is compressed."""
    kind, content = opened(path, read_bytes(path, None)[0])
    if kind == "idx":
        raise DataError(f"{path}: is one of MNIST's files; name the folder that it is in")
    return kind, content


def encoding_key(content: bytes) -> dict[str, Any]:
    """Return the key for a text that is not UTF-8, which is found by its bytes."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:1000]
        if not wide and (found := encoding_of(content)) is not None:
            return {"encoding": found}
    return {}


def array_keys(path: Path, content: bytes) -> dict[str, Any]:
    """Return which arrays of an archive are inputs and targets: by their names, or by shape."""
    shapes = archives.shapes_of(path, content)
    if {"x", "y"} <= shapes.keys():
        names = ["x", "y"]
    else:
        images = [name for name, shape in shapes.items() if len(shape) in (3, 4)]
        rows = [name for name, shape in shapes.items() if len(shape) == 2 and shape[1] > 1]
        inputs = images or rows
        targets = [
            name for name, shape in shapes.items()
            if name not in inputs and len(inputs) == 1 and shape[:1] == shapes[inputs[0]][:1]
        ]  # fmt: skip
        if len(inputs) != 1 or len(targets) != 1:
            known = ", ".join(f"{short_word(name)} {shape}" for name, shape in shapes.items())
            raise DataError(
                f"{path}: which arrays are (samples, features) and targets? --set data.features=… "
                f"and --set data.target=… name them: {known}"
            )
        names = [inputs[0], targets[0]]
    keys: dict[str, Any] = {"features": names[0], "target": names[1]}
    return keys | ({"task": "regression"} if len(shapes[names[1]]) == 2 else {})


def dialect_keys(content: bytes, path: Path, section: Csv) -> list[Key]:
    """Return the keys of how a text is written, as found by looking, where they are not usual."""
    text = as_utf8(path, content, section.encoding)
    layout = layout_of(path, text, section.dialect)
    keys = []
    if section.encoding is not None:
        keys.append(Key("encoding", section.encoding, "the text is not UTF-8"))
    if layout.delimiter != ",":
        shown = {"\t": "tab", " ": "space"}.get(layout.delimiter, layout.delimiter)
        keys.append(Key("delimiter", shown, "what separates cells"))
        first = [row.cells for row, _ in zip(layout.rows(text), range(500), strict=False)]
        cells = [cell for row in first for cell in row if is_number(cell)]
        points = [cell for cell in cells if "." in cell and not re.fullmatch(THOUSANDS, cell)]
        if any("," in cell for cell in cells) and not points:
            keys.append(Key("decimal", ",", "the point of numbers"))
    if not layout.named and not layout.comment and layout.line > 1 + section.skip:
        keys.append(Key("skip", layout.line - 1, "lines before the first sample"))
    if not layout.named:
        keys.append(Key("header", False, "the first line is a sample; columns have numbers"))
    return keys
