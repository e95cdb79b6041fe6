"""The kinds of studies by their names, for what is done with any study: resuming, merging."""

from __future__ import annotations

from collections.abc import Mapping

from minifw.study.comparison import Comparison
from minifw.study.rounds import Kind
from minifw.study.sweeps import Sweep
from minifw.study.variance import Variance

KINDS: Mapping[str, Kind] = {
    "compare": Comparison(),
    "sweep": Sweep(),
    "variance": Variance(),
}
