"""Which layer takes whose outputs: the wiring of a config's network, and the shapes along it.

Values have numbers: 0 is the input of the network, k + 1 the output of the layer at position k. A
layer takes the value before it, unless its key `from` names others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minifw.config.ends import Wanted, mend_by_hand, wrong_end
from minifw.config.heads import heads
from minifw.config.layers import LayerSection, LayerSizes, Use
from minifw.config.source import KeyPath, Source
from minifw.errors import ModuleError, did_you_mean
from minifw.nn.registry import Shape

if TYPE_CHECKING:
    from minifw.config.model import Config

INPUTS = "inputs"
"""The name of the network's input."""

WORDS = ("channels", "height", "width")
"""The sizes of an image, where they are not known."""

Note = Callable[[KeyPath, str], None]


@dataclass(frozen=True)
class Wiring:
    """The wiring of a network, position after position.

    `layers` are the sections, for a layer that is `used` again the section of the first; `used`
    is the position of the module that acts, `inputs` the numbers of the values that it takes.
    `ends` are the numbers of the network's outputs.
    """

    layers: tuple[LayerSection, ...]
    used: tuple[int, ...]
    inputs: tuple[tuple[int, ...], ...]
    ends: tuple[int, ...]

    @property
    def is_chain(self) -> bool:
        """Whether each layer takes the output of the one before it."""
        taken = tuple((position,) for position in range(len(self.layers)))
        return self.inputs == taken and self.ends == (len(self.layers),)

    def sizes(self, features: int) -> list[LayerSizes]:
        """Return the sizes of each layer for this many features.

        A layer that is used again has no parameters of its own.
        """
        shapes: list[Shape] = [(features,)]
        found = []
        for position, layer in enumerate(self.layers):
            size = layer.sizes(*self.taken(position, shapes))
            if self.used[position] != position:
                size = size._replace(parameters=0)
            found.append(size)
            shapes.append(size.shape)
        return found

    def shapes(self, features: int) -> list[Shape]:
        """Return the shape of a sample of each value, by its number."""
        return [(features,), *(size.shape for size in self.sizes(features))]

    def taken(self, position: int, shapes: Sequence[Shape]) -> list[Shape]:
        """Return the shapes of the values that the layer at this position takes."""
        return [shapes[number] for number in self.inputs[position]]

    def outputs(self, features: int) -> list[Shape]:
        """Return the shape of a sample of each of the network's outputs."""
        shapes = self.shapes(features)
        return [shapes[end] for end in self.ends]


def wiring(config: Config) -> Wiring:
    """Return the wiring of a checked config."""
    return _Names(config, _ignore, None).wiring()


def _ignore(path: KeyPath, what: str) -> None:
    """A checked config has no faults."""


class _Names:
    """The names of layers, and what they stand for; faults are noted.

    `unknown` are the positions of layers that are wrong otherwise: their names may be missing.
    Without `sure` the heads are wrong otherwise.
    """

    def __init__(
        self,
        config: Config,
        note: Note,
        source: Source | None,
        unknown: Collection[int] = (),
        sure: bool = True,
    ) -> None:
        self.network, self.heads = config.network, heads(config.loss)
        self.tell, self.source, self.unknown = note, source, unknown
        self.sure = sure and not unknown
        self.places: dict[str, int] = {}
        for position, layer in enumerate(self.network):
            if layer.name is None:
                continue
            path = ("network", position, "name")
            if layer.name == INPUTS:
                self.note(path, "is the name of the network's input; use another")
            elif layer.name in self.places:
                self.note(path, f"is the name of {self._where(self.places[layer.name])} already")
            else:
                self.places[layer.name] = position

    def note(self, path: KeyPath, what: str) -> None:
        """Note a fault; what follows from it is not noted as well."""
        self.sure = False
        self.tell(path, what)

    def wiring(self) -> Wiring:
        """Return the wiring; a name that is wrong stands for the value before it."""
        layers: list[LayerSection] = []
        used: list[int] = []
        inputs: list[tuple[int, ...]] = []
        for position, layer in enumerate(self.network):
            acting, module = layer, position
            if isinstance(layer, Use):
                path = ("network", position, "layer")
                found = self._number(layer.layer, position, path)
                module = position if found is None else found - 1
                if module == -1:
                    self.note(path, "must be the name of a layer before this one")
                    module = position
                module = used[module] if module < position else position
                acting = layers[module] if module < position else layer
            layers.append(acting)
            used.append(module)
            inputs.append(self._inputs(layer, position))
        ends = self._ends(len(layers))
        self._note_unused(inputs, ends)
        return Wiring(tuple(layers), tuple(used), tuple(inputs), ends)

    def _ends(self, last: int) -> tuple[int, ...]:
        """Return the numbers of the outputs: those of the heads, or of the last layer."""
        if not self.heads:
            return (last,)
        numbers = []
        for place, head in enumerate(self.heads):
            path = ("loss", place, "of")
            if head.of == INPUTS:
                self.note(
                    path, "must be the name of a layer; the input of the network is no output"
                )
            number = self._number(head.of, last, path)
            numbers.append(last if number is None else number)
        return tuple(numbers)

    def _inputs(self, layer: LayerSection, position: int) -> tuple[int, ...]:
        """Return the numbers of the values that a layer takes."""
        names = getattr(layer, "from")
        if names is None:
            return (position,)
        numbers = []
        for place, name in enumerate(names):
            path: KeyPath = ("network", position, "from", *([place] if len(names) > 1 else []))
            number = self._number(name, position, path)
            numbers.append(position if number is None else number)
        return tuple(numbers)

    def _number(self, name: str, position: int, path: KeyPath) -> int | None:
        """Return the number of the value that a name stands for, None after a fault."""
        if name == INPUTS:
            return 0
        found = self.places.get(name)
        if found is None:
            if not self.unknown:
                near = did_you_mean(name, [*self.places, INPUTS])
                self.note(path, f"no layer has the name '{name}'{near}")
            return None
        if found == position:
            self.note(path, f"'{name}' is this layer itself; a layer takes outputs of earlier ones")
            return None
        if found > position:
            self.note(path, f"'{name}' is {self._where(found)}, which comes later")
            return None
        return found + 1

    def _note_unused(self, inputs: Sequence[tuple[int, ...]], ends: Sequence[int]) -> None:
        """Note outputs that lead nowhere. A name may stand there for the reader alone."""
        if not self.sure:  # or something is wrong with the names that are used
            return
        used = {*ends, *(number for numbers in inputs for number in numbers)}
        for position in range(len(inputs)):
            if position + 1 not in used:
                what = "its output leads nowhere: give it a `name`, and let the `from` of a layer"
                also = " or the `of` of a head" if self.heads else ""
                self.tell(("network", position), f"{what}{also} have it, or remove it")

    def _where(self, position: int) -> str:
        line = self.source.line(("network", position)) if self.source else ""
        return f"network.{position}{line}"


# ------------------------------------------------------------------------------------ checking it


def note_network(
    config: Config,
    source: Source,
    features: int | None,
    classes: int | None,
    unknown: Collection[int] = (),
    sure: bool = True,
    *,
    called: Sequence[str] = (),
    image: Shape | None = None,
) -> None:
    """Note each layer that does not fit between `features` inputs and `classes` outputs.

    None is an unknown number; `called` are the names of classes, or of targets. The layers in
    `unknown` may have any size. Without `sure` the loss is not known. `image` is the shape of a
    sample, if the rows of features are images.
    """
    noted = len(source.faults)
    wired = _Names(config, source.add, source, unknown, sure).wiring()
    if len(source.faults) > noted:  # who takes what is not sure
        return
    _Shapes(config, wired, source, features, unknown, image).check(classes, called)


class _Shapes:
    """The shapes along a wiring, as far as they are known; what does not fit is noted."""

    def __init__(
        self,
        config: Config,
        wired: Wiring,
        source: Source,
        features: int | None,
        unknown: Collection[int],
        image: Shape | None = None,
    ) -> None:
        self.image = image
        self.config, self.wired, self.source, self.unknown = config, wired, source, unknown
        self.heads = heads(config.loss)
        self.shapes: list[Shape | None] = [None if features is None else (features,)]
        # Where each value got its shape, for messages; -1 is the data.
        self.origins = [-1]
        self.trained = bool(unknown)
        self.made: dict[int, dict[str, int]] = {}  # what each layer is made with, where known

    def check(self, classes: int | None, called: Sequence[str] = ()) -> None:
        """Go through all layers, and compare the end with the number of classes."""
        self.walk()
        if not self.trained:
            self.source.add(("network",), "needs at least one linear layer")
            return
        for end, wanted in [*self._wrong_ends(classes, called)]:
            size = self.shapes[end]
            assert size is not None
            mend = self._mend(end, wanted, classes) or mend_by_hand(size, wanted)
            path = ("network", max(self.origins[end], 0))
            self.source.add(path, wrong_end(size, wanted, mend))

    def walk(self) -> None:
        """Go through all layers."""
        for position, layer in enumerate(self.wired.layers):
            shape = self._after(position, layer)
            self.shapes.append(shape)

    def _wrong_ends(
        self, classes: int | None, called: Sequence[str] = ()
    ) -> Iterator[tuple[int, Wanted]]:
        """Yield the numbers of outputs that have the wrong size, and what they should be."""
        of = "target" if self.config.data.is_regression else "class"
        for place, end in enumerate(self.wired.ends):
            head = self.heads[place] if self.heads else None
            name = None if head is None else head.of
            wanted = None if classes is None else Wanted(classes, of, called, name)
            if head is not None and not head.predicts:
                inputs = self.shapes[0]
                wanted = None if inputs is None else Wanted(inputs[0], "input", (), name)
            size = self.shapes[end]
            if wanted is not None and size is not None and size != (wanted.count,):
                yield end, wanted

    def _mend(self, end: int, wanted: Wanted, classes: int | None) -> str | None:
        """Return the option that gives an output the size that is wanted; None if there is none.

        It is the size of the last layer before it that has one, if all else still fits.
        """
        number = end
        while number > 0:
            position = self.wired.used[number - 1]
            layer, place = self.wired.layers[position], self.source.place(("network", position))
            if place.given and place.line:  # a cell of a sweep sets it
                return None
            for key in ("out_features", layer.declaration.short):
                if type(getattr(layer, key, None)) is not int:
                    continue
                network = [*self.config.network]
                network[position] = layer.model_copy(update={key: wanted.count})
                if self._fits_better(network, end, classes):
                    setting = f"network.{position}.{key}"
                    if self.source.option == "--set":
                        return f"--set {setting}={wanted.count}"
                    return f"{self.source.option}={{'{setting}': {wanted.count}}}"
                return None
            number = self.wired.inputs[number - 1][0]
        return None

    def _fits_better(self, network: Sequence[LayerSection], end: int, classes: int | None) -> bool:
        """Return whether this network has the right size at one end, and no new fault."""
        config = self.config.model_copy(update={"network": tuple(network)})
        source, inputs = self.source.copy(), self.shapes[0]
        tried = _Shapes(
            config, wiring(config), source, None if inputs is None else inputs[0], self.unknown
        )
        tried.walk()
        wrong = {number for number, _ in self._wrong_ends(classes)}
        left = {number for number, _ in tried._wrong_ends(classes)}
        return {*source.faults} <= {*self.source.faults} and left <= wrong - {end}

    def _after(self, position: int, layer: LayerSection) -> Shape | None:
        """Return the shape of a layer's output, None if it is not known."""
        path = ("network", position)
        numbers = self.wired.inputs[position]
        known = [self.shapes[number] for number in numbers]
        self.origins.append(self.origins[numbers[0]])
        if position in self.unknown:
            return None
        wanted = getattr(layer, "in_features", None)
        given = [shape or (wanted or 1,) for shape in known]
        sure = None not in known
        try:
            if len(numbers) == 1 and layer.declaration.several and not getattr(layer, "from"):
                raise ModuleError(f"{layer.word}: needs `from`, a list of the layers that it takes")
            if sure:
                found = layer.inferred(*given)
                module = self.wired.used[position]
                made = found if module == position else self.made.get(module, found)
                self.made[position] = found
                for what in self._not_as_given(layer, found, made, module, numbers):
                    self.source.add(path, what)
            size = layer.sizes(*given)
        except ModuleError as fault:
            # What is not known may have another shape than the one that is tried.
            if sure or not layer.declared_sizes:
                self.source.add(path, f"{fault}{self._as_images(fault, numbers)}")
            self.trained = True
            return None
        self.trained |= size.parameters > 0
        same = len(numbers) == 1 and size.shape == given[0] and not size.parameters
        if not sure and (same or "out_features" not in layer.keys):
            return None  # its size depends on its input
        if not same:
            self.origins[-1] = position
        return size.shape

    def _as_images(self, fault: ModuleError, numbers: Sequence[int]) -> str:
        """Return which layer makes images of rows, where another layer lacks them."""
        shape = self.shapes[numbers[0]]
        if shape is None or len(shape) != 1 or "expects samples (channels" not in str(fault):
            return ""
        fits = self.image is not None and shape == (math.prod(self.image),)
        sizes = ", ".join(map(str, self.image if self.image and fits else WORDS))
        return f"; a layer before it makes images of rows: `- unflatten: [{sizes}]`"

    def _not_as_given(
        self,
        layer: LayerSection,
        here: Mapping[str, int],
        made: Mapping[str, int],
        module: int,
        numbers: Sequence[int],
    ) -> Iterator[str]:
        """Yield what does not fit of the keys that follow from a layer's inputs.

        `here` are those that follow; others may be given, and a layer that is used again is `made`
        with those of its first use.
        """
        origin = self.origins[numbers[0]]
        path: KeyPath = ("data",) if origin < 0 else ("network", origin)
        who = "the data" if origin < 0 else f"network.{origin}"
        before = f"{who}{self.source.line(path)} {'has' if origin < 0 else 'gives'}"
        for name, found in here.items():
            wanted = getattr(layer, name, None)
            again = ""
            if wanted is None and made[name] != found:
                wanted, again = made[name], f", as in network.{module}, of which this is a use"
            if wanted is not None and wanted != found:
                what = f"{wanted} inputs" if name == "in_features" else f"{name} {wanted}"
                yield f"expects {what}{again}, but {before} {found}"


def in_words(shape: Shape) -> str:
    """Return the shape of a sample as people write it, `6x28x28`."""
    return "x".join(map(str, shape))
