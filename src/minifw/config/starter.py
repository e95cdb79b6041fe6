"""The text of a config to start from that fits a data file, with a comment on each line.

The packaged `starter.yaml` is one for generated data.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minifw.config.axes import in_one_line
from minifw.errors import harmless

COLUMN = 30
"""Where comments beside keys begin."""
WIDTH = 100

HEAD = """\
#   minifw train {name}.yaml               trains it
#   minifw train {name}.yaml --seeds 20    20 networks at once: the error and its spread
#   minifw data {name}.yaml                what is in the file, and how it is used
#   minifw show {name}.yaml                every key, with its value
#   minifw validate {name}.yaml            all faults, without training

# Names the run's directory: letters, digits, - and _.
name: {name}

# The first seed. Network k uses seed + k for its data, weights and order of batches.
seed: 0

"""


@dataclass(frozen=True)
class Key:
    """A key of a section with its value, and a comment on it.

    A list may have a comment on each item, by the item.
    """

    name: str
    value: Any
    comment: str = ""
    items: Mapping[Any, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Starter:
    """What a config to start from says.

    `features` describes the inputs, `end` the outputs; `notes` stand below all.
    """

    name: str
    title: str
    data: Sequence[Key]
    features: str
    hidden: Sequence[int]
    outputs: int
    end: str
    loss: Key
    train: Sequence[Key]
    notes: Sequence[str] = ()

    @property
    def text(self) -> str:
        """The config as YAML."""
        lines = [*_remark(self.title), "#", *HEAD.format(name=self.name).split("\n")[:-1]]
        lines += ["data:", *(line for key in self.data for line in _lines(key, 2)), ""]
        lines += _remark(self.features)
        lines += _remark("Layers: linear, relu, tanh, sigmoid, … The number of inputs is inferred.")
        lines += ["network:"]
        for size in self.hidden:
            lines += [f"  - linear: {size}", "  - relu"]
        lines += [_beside(f"  - linear: {self.outputs}", self.end), ""]
        lines += _remark(
            "Initial weights: pytorch, kaiming-normal, xavier-normal, … or "
            "{kind: normal, std: 0.1}."
        )
        lines += ["init: kaiming-normal", "", *_lines(self.loss, 0), ""]
        adam = Key("optimizer", "adam", "each weight has a step of its own; sgd: all the same")
        lines += [*_lines(adam, 0), ""]
        lines += ["train:", *(line for key in self.train for line in _lines(key, 2))]
        if self.notes:
            lines += ["", "# Noticed in the file:"]
            lines += [line for note in self.notes for line in _remark(note, "- ")]
        return "\n".join(lines) + "\n"


def _lines(key: Key, indent: int) -> list[str]:
    """Return the lines of a key."""
    start = f"{' ' * indent}{key.name}:"
    if not key.items:
        line = _beside(f"{start} {in_one_line(key.value)}", key.comment)
        if len(line) <= WIDTH or not key.comment:
            return [line]
        above = [f"{' ' * indent}{each}" for each in _remark(key.comment)]
        return [*above, f"{start} {in_one_line(key.value)}"]
    lines = [_beside(start, key.comment)]
    for item in key.value:
        comment = _cut(key.items.get(item, ""), WIDTH - COLUMN - 2)
        lines.append(_beside(f"{' ' * indent}  - {in_one_line(item)}", comment))
    return lines


def _beside(text: str, comment: str) -> str:
    """Return a line with a comment in the column of comments."""
    return f"{text:<{COLUMN - 2}}  # {harmless(comment)}" if comment else text


def _remark(text: str, first: str = "") -> list[str]:
    """Return a text as lines of comment."""
    return textwrap.wrap(
        harmless(text),
        WIDTH,
        initial_indent=f"# {first}",
        subsequent_indent=f"# {' ' * len(first)}",
        break_on_hyphens=False,
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
