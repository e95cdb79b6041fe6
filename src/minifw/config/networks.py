"""The stack of networks that a config describes."""

from __future__ import annotations

from collections.abc import Sequence

from minifw import nn
from minifw.config.model import Config
from minifw.config.wiring import wiring
from minifw.data import DTYPES, generator


def build_network(config: Config, seeds: Sequence[int], features: int) -> nn.Network:
    """Return the stack of networks, one for each seed, with its initial weights."""
    generators = [generator(seed, "init") for seed in seeds]
    given = {
        "stack": (len(seeds),),
        "generators": generators,
        "dtype": DTYPES[config.dtype],
        "device": config.device,
    }
    wired = wiring(config)
    shapes = wired.shapes(features)
    modules: list[nn.Module] = []
    for position, layer in enumerate(wired.layers):
        if (again := wired.used[position]) != position:
            modules.append(modules[again])
            continue
        init = getattr(layer, "init", None) or config.init
        modules.append(layer.module(*wired.taken(position, shapes), init=init.make(), **given))
    network: nn.Network
    if wired.is_chain:
        network = nn.Sequential(*modules)
    else:
        network = nn.Wired(modules, wired.inputs, wired.ends, joined=len(wired.ends) > 1)
    network.reseed([generator(seed, "dropout") for seed in seeds])
    return network
