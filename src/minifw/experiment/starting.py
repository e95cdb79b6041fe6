"""From a data file of which nothing is said to a config that learns it.

What the file does not tell is chosen for standardised data: one or two hidden layers, Adam, all
samples in a step where they are few.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minifw.config import loading, yaml12
from minifw.config.code import Code
from minifw.config.columned import Columned, Csv, Npz
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.config.starter import Key, Starter
from minifw.data.facts import repeats
from minifw.data.frame import Frame
from minifw.data.proposal import Proposal, propose
from minifw.data.table import Table
from minifw.errors import DataError, UsageError, short_word
from minifw.experiment import sources
from minifw.experiment.build import read_table
from minifw.experiment.drawing import check_division, division_of
from minifw.experiment.opening import (
    array_keys,
    dialect_keys,
    encoding_key,
    kind_and_content,
)
from minifw.statistics.measure import Task

FEW_SAMPLES = 1000
"""Training samples up to which all are taken in one step."""
STEPS = 5000
"""Steps that a run of more samples takes, about."""
MOST_LISTED = 20
"""Columns that the config names one by one; of more the comment tells the number."""


@dataclass(frozen=True)
class Started:
    """A config for a data file, and what was noticed.

    `columns` are those of the file, and how many rows, the last ones, are of `data.test_path`; None
    of images.
    """

    text: str
    config: Config
    notes: tuple[str, ...]
    columns: tuple[Frame, int] | None = None


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
    given = {each.partition("=")[0].split(".")[1] for each in settings}
    if path.is_dir():
        if target or task == "regression":
            raise UsageError(
                f"{file}: is a folder of images with classes, which has no other target"
            )
        return _of_images(name, file, settings, given)
    kind, content = kind_and_content(path)
    keys: dict[str, Any] = {"kind": kind, "path": file}
    if task is not None:
        keys["task"] = task
    elif target is not None and len(target) > 1:
        keys["task"] = "regression"
    if kind == "csv" and "encoding" not in given:
        keys |= encoding_key(content)
    if kind == "npz" and not {"features", "target"} <= given:
        keys |= array_keys(path, content)
    section = _section(name, keys, settings)
    frame, tests = sources.columns_of(section, None)
    if target is not None:
        numbers = range(1, len(frame.names) + 1)
        wanted = [
            int(each) if each not in frame.names and each.isdecimal() and int(each) in numbers
            else each for each in target
        ]  # fmt: skip
        keys["target"] = wanted[0] if len(wanted) == 1 else wanted
        section = _section(name, keys, settings)
    found = propose(frame, sources.choice_of(section, frame), section.task, tests)
    if isinstance(section, Npz):
        found = replace(found, table=replace(found.table, target=section.target))
    data = _data_keys(section, file, frame, found, content, given)
    section = _section(name, {key.name: key.value for key in data})
    data += _split_key(section, found.table, given)
    notes = tuple(_notes(frame, found, given | ({"target"} if target else set())))
    return _started(name, file, data, found.table, found.words, notes, (frame, tests))


def _of_images(name: str, file: str, settings: Sequence[str], given: Collection[str]) -> Started:
    """Return the config for a folder of MNIST's files."""
    keys: dict[str, Any] = {"kind": "idx", "path": file}
    section = _section(name, keys, settings)
    table = read_table(section, None)
    data = [
        Key("kind", "idx", f"MNIST's files, or others of their kind; {_of_target(table)}"),
        Key("path", file, "a folder, relative to this config's"),
    ]
    said = section.model_dump(mode="json")
    data += [Key(key, said[key]) for key in sorted(given)]
    notes = []
    if table.tests:
        notes.append(f"the {table.tests} samples of the test files are for testing")
    elif not {"train", "folds"} & {*given}:
        data.append(Key("train", 0.8, "the share of training samples; the others are for testing"))
    return _started(name, file, data, table, {}, tuple(notes), None)


def _split_key(section: Any, table: Table, given: Collection[str]) -> list[Key]:
    """Return the key of a stratified division, unless there are too few samples of some class."""
    if "split" in given or table.targets:
        return []
    try:
        stratified = section.model_copy(update={"split": "stratified"})
        division_of(stratified, table).check_classes(table.classes)
    except DataError:
        return []
    what = "training and test samples have the same share of each class"
    return [Key("split", "stratified", what)]


def _started(
    name: str,
    file: str,
    data: Sequence[Key],
    table: Table,
    words: Mapping[str, int],
    notes: tuple[str, ...],
    columns: tuple[Frame, int] | None,
) -> Started:
    """Return the config with these keys of data; `words` has the categories of each column."""
    section = _section(name, {key.name: key.value for key in data})
    check_division(section, table)
    train = division_of(section, table).sizes.train
    text = _starter(name, file, data, table, words, train, notes).text
    config = loading.of_text(text, Path(f"{name}.yaml"), (), Code())[0]
    return Started(text, config, notes, columns)


def _section(name: str, keys: dict[str, Any], settings: Sequence[str] = ()) -> Any:
    """Return the section of these keys of data, with its path as it is given."""
    rest = {"network": [{"linear": 1}], "loss": "mse", "train": {"eta": 1, "epochs": 1}}
    text = yaml12.dump({"name": name, "data": keys, **rest})
    path = Path(f"{name}.yaml")
    data = loading.of_text(text, path, settings, Code(), Source(str(path)))[0].data
    return data.model_copy(update={"path": keys["path"]})


# -------------------------------------------------------------------------- what the config says

KINDS = {
    "csv": "a text file with a sample in each line",
    "parquet": "an Apache Parquet file",
    "arff": "an ARFF file",
    "npy": "a NumPy array, (samples, columns)",
    "npz": "an archive of NumPy arrays",
}


def _data_keys(
    section: Columned | Npz,
    file: str,
    frame: Frame,
    found: Proposal,
    content: bytes,
    given: Collection[str],
) -> list[Key]:
    """Return the keys of the data; those that are `given` are as they are given."""
    kind, table, choice = section.word, found.table, found.choice
    keys = [Key("kind", kind, KINDS[kind]), Key("path", file, "relative to this config's folder")]
    if isinstance(section, Csv):
        keys += dialect_keys(content, Path(file), section)

    def columns(names: Sequence[str]) -> list[str | int]:
        """Columns without names have numbers."""
        return [name if frame.named else frame.names.index(name) + 1 for name in names]

    if isinstance(section, Npz):
        what = "the array of inputs, (samples, features)"
        keys += [Key("features", section.features, what)]
        keys += [Key("target", section.target, _of_target(table))]
    else:
        targets = columns(found.targets)
        value = targets[0] if len(targets) == 1 else targets
        keys.append(Key("target", value, _of_target(table)))
    if choice.regression:
        keys.append(Key("task", "regression", "the target is a number; classification: a class"))
    elif section.task is not None:
        keys.append(Key("task", "classification", "each different value is a class"))
    if found.left_out:
        names = columns([*found.left_out])
        reasons = dict(zip(names, found.left_out.values(), strict=True))
        names = [*(getattr(section, "exclude", None) or []), *names]
        few = len(names) <= MOST_LISTED
        what = "columns that are not used" if few else f"{len(names)} columns that are not used"
        keys.append(Key("exclude", names, what, reasons if few else {}))
    if choice.missing == "drop":
        keys.append(Key("missing", "drop", "rows without a target are left out"))
    elif choice.missing != "error":
        what = f"gaps become the {choice.missing} of the training samples; drop leaves rows out"
        keys.append(Key("missing", choice.missing, what))
    said = section.model_dump(mode="json")
    known = {key.name for key in keys}
    keys += [Key(key, said[key], _GIVEN.get(key, "")) for key in sorted(given) if key not in known]
    if not {"train", "folds", "test_path"} & {*given}:
        keys.append(Key("train", 0.8, "the share of training samples; the others are for testing"))
    return keys


_GIVEN = {
    "decimal": "the point of numbers",
    "folds": "parts; each is tested by networks trained on the others",
    "group": "rows with the same value stay together, in training or testing",
    "header": "whether the first line names the columns",
    "normalize": "whether features get mean 0 and standard deviation 1",
    "share": "the fraction of the training samples that is used",
    "split": "how samples are drawn: random, stratified or grouped",
    "split_seed": "one division of the samples for all seeds",
    "test_path": "a second file: its rows are for testing",
    "validation": "training samples that are kept to choose by",
}
"""Comments on keys that were given by `--set`."""


def _of_target(table: Table) -> str:
    """Return what a target holds, for a comment."""
    if table.targets:
        low, high = table.labels.min(), table.labels.max()
        return f"{low:.4g} to {high:.4g}" if len(table.targets) == 1 else "the numbers to predict"
    counts = np.bincount(table.class_numbers)
    named = [
        f"{short_word(name)} {count}" for name, count in zip(table.classes, counts, strict=True)
    ]
    more = f" and {len(named) - 5} more" if len(named) > 6 else ""
    return f"{len(named)} classes: {', '.join(named[: 5 if more else 6])}{more}"


def _notes(frame: Frame, found: Proposal, given: Collection[str]) -> Iterator[str]:
    """Yield what was noticed, a line each."""
    if "target" not in given and len(found.targets) == 1 and frame.names[-1] == found.targets[0]:
        name = short_word(found.targets[0])
        yield f"the last column, '{name}', is the target; --target COLUMN takes another"
    for name, why in found.left_out.items():
        yield f"column '{short_word(name)}' is left out: {why}"
    yield from found.table.notes
    table = found.table
    same = repeats(table.inputs, table.labels)
    if same.repeated:
        yield f"{same.repeated} of {len(table.labels)} samples have the features of another"
    if same.contradicting and not table.targets:
        yield f"{same.contradicting} samples have the features of one of another class"


def _guess(table: Table) -> list[str]:
    """Return what it is to know nothing of the features, of classes."""
    if table.targets:
        return []
    counts = np.bincount(table.class_numbers)
    wrong, name = 100 * (1 - counts.max() / counts.sum()), table.classes[int(counts.argmax())]
    return [f"to guess the most frequent class, '{short_word(name)}', is wrong in {wrong:.1f} %"]


def _starter(
    name: str,
    file: str,
    data: Sequence[Key],
    table: Table,
    words: Mapping[str, int],
    train: int,
    notes: Sequence[str],
) -> Starter:
    """Return what the config says; sizes and steps are by the number of training samples."""
    rows, features = table.inputs.shape
    outputs, each = len(table.classes), "class"
    loss = Key("loss", "cross-entropy", "the outputs are scores of classes; or: mse")
    if table.targets:
        outputs, each = len(table.targets), "target"
        loss = Key("loss", "mse", "the mean squared error")
    size = 16 if features <= 16 else 32 if features <= 64 else 64
    small = train < FEW_SAMPLES / 2
    some = ", ".join(f"{short_word(column)} ({count})" for column, count in words.items())
    one_hot = f", one-hot for each word of: {some}" if words else ""
    hidden = "a hidden layer" if small else "two hidden layers"
    return Starter(
        name,
        f"For {Path(file).name}, as `minifw init --data` writes it: {rows} samples, {features} "
        f"feature{'s' * (features != 1)}, {outputs} {'target' if table.targets else 'classes'}"
        f"{'s' if table.targets and outputs > 1 else ''}.",
        data,
        f"{features} features of the data{one_hot}; {hidden}.",
        [size] if small else [size, size],
        outputs,
        f"one output for each {each}",
        loss,
        _train(train),
        [*notes, *_guess(table)],
    )


def _train(samples: int) -> list[Key]:
    """Return the keys of `train` for so many training samples.

    Some thousand steps: more samples take more steps in an epoch, and fewer epochs.
    """
    keys = [Key("mode", "full-batch", "all samples in each step; sgd: batches, with batch_size")]
    epochs, eta = 300, 0.01
    if samples > FEW_SAMPLES:
        batch = 32 if samples <= 10_000 else 128 if samples <= 100_000 else 512
        epochs, eta = min(100, max(5, round(STEPS * batch / samples))), 0.003
        keys = [
            Key("mode", "sgd", "batches in a new order each epoch; or: full-batch"),
            Key("batch_size", batch),
        ]
    return [
        *keys,
        Key("eta", eta, "learning rate; a third of it when seeds diverge"),
        Key("epochs", epochs, "passes over the training samples"),
        Key("eval_every", max(1, epochs // 20), "epochs between measurements of loss and errors"),
        Key("checkpoint_every", max(1, epochs // 5), "epochs between checkpoints, to resume from"),
    ]
