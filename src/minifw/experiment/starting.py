"""From a data file of which nothing is said to a config that learns it.

What the file does not tell is chosen for standardised data: one or two hidden layers, Adam, all
samples in a step where they are few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from minifw.config import loading, yaml12
from minifw.config.code import Code
from minifw.config.columned import Csv, Npz
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.config.starter import Key
from minifw.data import archives
from minifw.data.dialect import is_number
from minifw.data.encoded import as_utf8, encoding_of
from minifw.data.formats import kind_of
from minifw.data.frame import Frame
from minifw.data.layout import layout_of
from minifw.data.proposal import Proposal, propose
from minifw.data.reading import read_bytes
from minifw.data.unpacked import unpacked
from minifw.errors import DataError, UsageError, short_word
from minifw.experiment import sources
from minifw.experiment.drawing import division_of
from minifw.statistics.measure import Task

FEW_SAMPLES = 1000
"""Training samples up to which all are taken in one step."""
MOST_LISTED = 20
"""Columns that the config names one by one; of more the comment tells the number."""


@dataclass(frozen=True)
class Started:
    """A config for a data file, and what it was made from."""

    text: str
    config: Config
    frame: Frame
    proposal: Proposal
    notes: tuple[str, ...]


def start(
    name: str,
    file: str,
    target: Sequence[str] | None = None,
    task: Task | None = None,
    settings: Sequence[str] = (),
) -> Started:
    """Return a config called `name` for a data file; paths are relative to the current folder.

    `settings` are further keys of data, as `data.header=false`, as of `--set`.

    Raises:
        DataError: the file cannot be read, or not be learned; in one line with the key.
        ConfigError, UsageError: a setting is wrong.

    """
    path = Path(file)
    for setting in settings:
        if not setting.startswith("data."):
            raise UsageError(
                f"--set {short_word(setting)}: expects a key of data, as data.header=false; "
                "change others in the config itself"
            )
    kind, content = _kind(path)
    keys: dict[str, Any] = {"kind": kind, "path": file}
    if task is not None:
        keys["task"] = task
    if kind == "csv" and not any(each.startswith("data.encoding=") for each in settings):
        keys |= _encoding(content)
    if kind == "npz":
        keys |= _arrays(path, content)
    section: Any = _config(name, keys, settings).data
    frame = sources.frame_of(section)
    if target is not None:
        numbers = range(1, len(frame.names) + 1)
        wanted = [
            int(each) if each not in frame.names and each.isdecimal() and int(each) in numbers
            else each for each in target
        ]  # fmt: skip
        keys["target"] = wanted[0] if len(wanted) == 1 else wanted
        section = _config(name, keys, settings).data
    found = propose(frame, sources.choice_of(section, frame), section.task)
    if isinstance(section, Npz):
        found = replace(found, table=replace(found.table, target=section.target))
    data = _data_keys(section, frame, found, keys, content, settings)
    made = {key.name: key.value for key in data}
    section = _config(name, made, ()).data
    if not found.choice.regression and section.split == "random" and not _is_set(settings, "split"):
        split = Key("split", "stratified", "training and test samples have the same share of each")
        stratified = section.model_copy(update={"split": "stratified"})
        try:
            division_of(stratified, found.table).check_classes(found.table.classes)
            data, section = [*data, split], stratified
        except DataError:
            pass  # of some class there are too few
    train = division_of(section, found.table).sizes.train
    notes = tuple(_notes(found))
    text = _starter(name, path, data, found, train, notes).text
    config = loading.of_text(text, Path(f"{name}.yaml"), (), Code())[0]
    return Started(text, config, frame, found, notes)


def _config(name: str, data: dict[str, Any], settings: Sequence[str]) -> Config:
    """Return a config of these data, the rest of which does not matter."""
    rest = {"network": [{"linear": 1}], "loss": "mse", "train": {"eta": 1, "epochs": 1}}
    text = yaml12.dump({"name": name, "data": data, **rest})
    return loading.of_text(text, Path(f"{name}.yaml"), settings, Code(), Source(f"{name}.yaml"))[0]


def _is_set(settings: Sequence[str], key: str) -> bool:
    return any(each.startswith((f"data.{key}=", f"data.{key}.")) for each in settings)


# ------------------------------------------------------------------------------- what the file is


def _kind(path: Path) -> tuple[str, bytes]:
    """Return the kind of data that reads a file, and its bytes, unpacked if they are text."""
    content, _ = read_bytes(path, None)
    kind = kind_of(content)
    if kind == "csv":
        content = unpacked(path, content)
        kind = kind_of(content)
    return kind, content


def _encoding(content: bytes) -> dict[str, Any]:
    """Return the key for a text that is not UTF-8, which is found by its bytes."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:1000]
        if not wide and (found := encoding_of(content)) is not None:
            return {"encoding": found}
    return {}


def _arrays(path: Path, content: bytes) -> dict[str, Any]:
    """Return which arrays of an archive are inputs and targets: by their names, or by shape."""
    shapes = archives.shapes_of(path, content)
    if {"x", "y"} <= shapes.keys():
        names = ["x", "y"]
    else:
        inputs = [name for name, shape in shapes.items() if len(shape) == 2 and shape[1] > 1]
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


def _dialect(content: bytes, path: Path, section: Csv) -> list[Key]:
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
        if any("," in cell for cell in cells) and not any("." in cell for cell in cells):
            keys.append(Key("decimal", ",", "the point of numbers"))
    if not layout.named:
        keys.append(Key("header", False, "the first line is a sample; columns have numbers"))
    return keys
