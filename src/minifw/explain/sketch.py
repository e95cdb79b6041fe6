"""The network of a config as a picture: its layers, what each takes, and where each stands.

Every value runs down a lane of its own, from the layer that makes it to the last one that takes it.
A layer goes on in the lane of its first input if nothing else takes that; branches open new lanes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from minifw.config.heads import each
from minifw.config.model import Config
from minifw.config.wiring import INPUTS, in_words, wiring

LONGEST_BLOCK = 6
"""Layers of a block that may be folded, at most."""
REPEATS = 4
"""How often a block must stand after itself to be folded."""


@dataclass(frozen=True)
class Node:
    """A layer, the input, or a fold of several layers.

    `value` is the number of what it makes, as in `config.wiring`; `takes` are those of its inputs.
    `title` says what it is, `shape` what it makes for one sample, and `parameters` how many numbers
    it trains. `lane` and `row` are its place. `loss` is the one that its output goes to, if any.
    """

    value: int
    takes: tuple[int, ...]
    title: str
    shape: str
    parameters: int
    loss: str | None = None
    folded: int = 0
    lane: int = 0
    row: int = 0


@dataclass(frozen=True)
class Sketch:
    """The nodes of a network from its input on, each after those whose outputs it takes."""

    nodes: tuple[Node, ...]

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        return 1 + max(node.lane for node in self.nodes)

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return 1 + max(node.row for node in self.nodes)

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(node.parameters for node in self.nodes)

    @property
    def folds(self) -> bool:
        """Whether layers are folded."""
        return any(node.folded for node in self.nodes)

    def node(self, value: int) -> Node:
        """Return the node that makes a value."""
        return next(node for node in self.nodes if node.value == value)


def sketch(config: Config, features: int) -> Sketch:
    """Return the picture of a checked config's network, for so many features."""
    wired = wiring(config)
    losses = {
        end: f"{loss.word}{'' if getattr(loss, 'weight', 1) == 1 else f' · {loss.weight:g}'}"
        for end, (_, loss) in zip(wired.ends, each(config.loss), strict=True)
    }
    nodes = [Node(0, (), INPUTS, str(features), 0)]
    for position, size in enumerate(wired.sizes(features)):
        own, used = config.network[position], wired.used[position]
        title = f"{position} {own.word}"
        if used != position:
            title = f"{position} {wired.layers[position].word}, layer {used} again"
        elif own.name is not None:
            title += f" '{own.name}'"
        value = position + 1
        nodes.append(
            Node(
                value, wired.inputs[position], title, in_words(size.shape), size.parameters,
                losses.get(value),
            )
        )  # fmt: skip
    again = {position for position, used in enumerate(wired.used) if used != position}
    again |= {wired.used[position] for position in again}
    return Sketch(tuple(_placed(_folded(nodes, again))))


def _folded(nodes: Sequence[Node], again: set[int]) -> list[Node]:
    """Return the nodes with blocks that are repeated one after the other as one node each."""
    uses = Counter(value for node in nodes for value in node.takes)

    def is_plain(node: Node) -> bool:
        value = node.value
        return node.takes == (value - 1,) and uses[value - 1] == 1 and value - 1 not in again

    def key(node: Node) -> tuple[str, str, int]:
        return node.title.partition(" ")[2], node.shape, node.parameters

    kept: list[Node] = []
    place = 0
    while place < len(nodes):
        for size in range(1, LONGEST_BLOCK + 1):
            times = 1
            block = nodes[place : place + size]
            while (
                [*map(key, nodes[place + times * size : place + (times + 1) * size])]
                == [*map(key, block)]
                and all(map(is_plain, nodes[place + 1 : place + (times + 1) * size]))
                and is_plain(nodes[place])
            ):
                times += 1
            if times >= REPEATS:
                break
        else:
            kept.append(nodes[place])
            place += 1
            continue
        rest = nodes[place + size : place + times * size]
        first, last = rest[0].value - 1, rest[-1].value - 1
        what = "the layer above" if size == 1 else f"the {size} layers above"
        kept += block
        kept.append(
            Node(
                last + 1, (rest[0].value - 1,), f"{first} to {last}: {what}, {times - 1} times",
                rest[-1].shape, sum(node.parameters for node in rest), rest[-1].loss, len(rest),
            )
        )  # fmt: skip
        place += times * size
    return kept


def _placed(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes with their lanes and rows."""
    left = Counter(value for node in nodes for value in node.takes)
    lane_of: dict[int, int] = {}  # of values that are still to be taken
    row_of: dict[int, int] = {}
    free_from: dict[int, int] = {}  # by lane, the first row that nothing stands in
    placed = []
    for node in nodes:
        for value in set(node.takes):
            left[value] -= node.takes.count(value)
        ended = [value for value in node.takes if not left[value]]
        lanes = {lane_of[value] for value in ended}
        if node.takes and node.takes[0] in ended:
            lane = lane_of[node.takes[0]]
        else:
            taken = {lane_of[value] for value in lane_of if value not in ended}
            open_ = [k for k in range(len(taken) + 1) if k not in taken and k not in lanes]
            lane = min(lanes | {*open_})
        row = max([1 + row_of[value] for value in node.takes], default=0)
        row = max(row, free_from.get(lane, 0))
        for value in {*ended}:
            free_from[lane_of[value]] = row + 1
            del lane_of[value]
        lane_of[node.value], row_of[node.value] = lane, row
        free_from[lane] = row + 1
        placed.append(replace(node, lane=lane, row=row))
    return placed
