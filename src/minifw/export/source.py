"""A plain `nn.Module` as source that stands alone: only torch is needed.

The classes around the network are those of `minifw.reference.rows`, word for word. Every name that
a file or a config gave stands in the source as a literal in ASCII, so it can be nothing but text.
"""

from __future__ import annotations

import base64
import inspect
import pprint
import textwrap
import types
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from minifw.data import Floats
from minifw.data.reading import read_bytes
from minifw.errors import ArtefactError, UsageError
from minifw.export.columns import Ends, Preparation
from minifw.export.parcel import About, Parcel, about_of, comment, commented, only_seed
from minifw.nn import Module
from minifw.nn.registry import LayerDeclaration
from minifw.nn.wired import table
from minifw.reference import layers, rows, twin
from minifw.reference.twins import twin_of

WIDTH = 96

HEAD = '''\
"""A network that minifw trained, as a module of PyTorch; this file needs nothing else.

    model = trained()
    model(rows([{...}]))    # scores of CLASSES, (n, classes), or TARGETS in their own unit
    model.network           # the network alone; it takes what model.rows makes of rows

A row has a number for each of COLUMNS. A word is its place in WORDS, NaN a gap; `rows` makes them
of words and numbers as they stand in a data file.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import reduce
from math import nan
from typing import Any

import torch
from torch import Tensor, nn
'''

ROWS = '''\
def rows(samples: Sequence[Mapping[str, Any]]) -> Tensor:
    """Return rows for samples: for each column a number or a word by its name, None a gap."""
    made = []
    for sample in samples:
        row = []
        for name in COLUMNS:
            cell, words = sample[name], WORDS.get(name)
            if cell is None:
                row.append(nan)
            elif words is None:
                row.append(float(cell))
            else:
                row.append(float(words.index(cell) if cell in words else len(words)))
        made.append(row)
    return torch.tensor(made, dtype=torch.float64)
'''

TRAINED = '''\
def weight(dtype: str, shape: Sequence[int], text: str) -> Tensor:
    """Return a tensor from its numbers in base64, the lowest byte first."""
    flat = torch.frombuffer(bytearray(base64.b64decode(text)), dtype=getattr(torch, dtype))
    return flat.view(tuple(shape))


def trained() -> Model:
    """Return the trained model, in evaluation mode."""
    network = Network().to(DTYPE)
    network.layers.load_state_dict({name: weight(*value) for name, value in WEIGHTS.items()})
    return Model(Rows(**PREPARATION, dtype=DTYPE), network, **ENDS)
'''


def torch_code(parcel: Parcel) -> bytes:
    """Return the source of a module of PyTorch, weights inside.

    Raises:
        UsageError: a layer is a user's own, or has no counterpart in PyTorch.

    """
    only_seed(parcel, "torch-code")
    about, network = parcel.networks.about, parcel.networks.network
    parts = [call_of(module) for module in network]
    own = {name for name, _ in parts if name in layers.__all__}
    sources = [inspect.getsource(getattr(layers, name)) for name in sorted(own)]
    constants = {
        "NAME": parcel.about.name,
        "SEED": parcel.about.seeds[0],
        "COLUMNS": [column.name for column in about.coded.columns],
        "WORDS": {c.name: list(c.categories) for c in about.coded.columns if c.kind == "words"},
        "CLASSES": about.classes,
        "TARGETS": about.targets,
        "UNIT": about.unit,
    }
    lines = [
        HEAD,
        *(f"{name} = {literal(value)}" for name, value in constants.items()),
        f"DTYPE = {parcel.networks.dtype}",
        "# The arguments of Rows, and of Model.",
        "PREPARATION = " + literal(asdict(Preparation.of(parcel))),
        "ENDS = " + literal(asdict(Ends.of(parcel))),
        "",
        "",
        *(f"{text}\n" for text in (*sources, inspect.getsource(rows.Rows))),
        f"{inspect.getsource(rows.Model)}\n",
        _network(parcel, [text for _, text in parts]),
        "",
        ROWS,
        "",
        TRAINED,
        "",
        _weights(twin(network, 0), network),
        *(f"# {line}" for line in comment(parcel.about)),
        "",
    ]
    return "\n".join(lines).encode()


def literal(value: Any) -> str:
    """Return a value of names and numbers as source in ASCII."""
    text = pprint.pformat(value, width=WIDTH, compact=True, sort_dicts=False)
    # Characters beyond ASCII stand only within strings.
    return text.encode("ascii", "backslashreplace").decode()


def call_of(module: Module) -> tuple[str, str]:
    """Return the class of PyTorch that is a layer's twin, and the call that makes it.

    Raises:
        UsageError: it is a user's own, whose source is elsewhere.

    """
    called = twin_of(module, LayerDeclaration)
    if not isinstance(called.name, str):
        raise UsageError(
            f"--format torch-code: {module}: its PyTorch twin {called} is a user's own class, "
            "whose source does not stand alone; torch, safetensors, npz and onnx do without it"
        )
    kind = getattr(layers if called.name in layers.__all__ else nn, called.name)
    usual = {name: p.default for name, p in inspect.signature(kind).parameters.items()}
    words = [
        f"{name}={value!r}"
        for name, value in called.arguments(module).items()
        if usual.get(name, inspect.Parameter.empty) != value
    ]
    return (
        called.name,
        f"{'nn.' if kind.__module__ != layers.__name__ else ''}{called.name}({', '.join(words)})",
    )


def _network(parcel: Parcel, calls: Sequence[str]) -> str:
    """Return the class of the network: a chain, or layers that take each other's outputs."""
    network = parcel.networks.network
    modules, (takes, ends) = list(network), table(network)
    first = [next(k for k, other in enumerate(modules) if other is m) for m in modules]
    head = [
        "class Network(nn.Module):",
        f'    """{len(modules)} layers, from {len(parcel.networks.about.features)} features."""',
        "",
        "    def __init__(self) -> None:",
        "        super().__init__()",
    ]
    is_chain = [*map(tuple, takes)] == [(k,) for k in range(len(modules))]
    if is_chain and first == [*range(len(modules))] and [*ends] == [len(modules)]:
        made = [f"            {call}," for call in calls]
        body = ["        return self.layers(x)"]
        head += ["        self.layers = nn.Sequential(", *made, "        )"]
    else:
        made = [f'                "{k}": {call},' for k, call in enumerate(calls) if first[k] == k]
        head += [
            "        self.layers = nn.ModuleDict(",
            "            {",
            *made,
            "            }",
            "        )",
        ]
        values = ["x", *(f"x{k}" for k in range(len(modules)))]
        body = [
            f'        x{k} = self.layers["{first[k]}"]({", ".join(values[n] for n in numbers)})'
            for k, numbers in enumerate(takes)
        ]
        outputs = [values[n] for n in ends]
        joined = outputs[0] if len(outputs) == 1 else f"torch.cat([{', '.join(outputs)}], -1)"
        body.append(f"        return {joined}")
    return "\n".join([*head, "", "    def forward(self, x: Tensor) -> Tensor:", *body, ""])


def _weights(net: nn.Module, network: Any) -> str:
    """Return the weights, by their names in the layers, as base64."""
    modules = list(network)
    again = {str(k) for k, module in enumerate(modules) if any(module is m for m in modules[:k])}
    lines = ["WEIGHTS = {"]
    for name, value in net.state_dict().items():
        if name.split(".")[0] in again:
            continue
        array = value.contiguous().numpy()
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
        dtype = str(value.dtype).removeprefix("torch.")
        lines.append(f'    "{name}": ("{dtype}", {tuple(value.shape)}, (')
        rows_of_text = textwrap.wrap(base64.b64encode(data).decode(), WIDTH - 10) or [""]
        lines += [f'        "{row}"' for row in rows_of_text]
        lines.append("    )),")
    return "\n".join([*lines, "}", ""])


def read(path: Path) -> tuple[About, Callable[[], Callable[[Floats], Floats]]]:
    """Return what goes with a module, and a function that executes the source and gives the model.

    Raises:
        ArtefactError: it is no such source.

    """
    content, _ = read_bytes(path, None)
    text = content.decode("utf-8", "replace")
    about = about_of(commented(text), path, "comment 'minifw-export'")

    def begin() -> Callable[[Floats], Floats]:
        module = types.ModuleType(path.stem)
        try:
            exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
            model = module.trained()
        except Exception as fault:
            raise ArtefactError(f"{path}: {type(fault).__name__}: {fault}") from None

        def function(samples: Floats) -> Floats:
            with torch.no_grad():
                scores: Floats = model(torch.from_numpy(np.array(samples, np.float64))).numpy()
            return scores

        return function

    return about, begin
