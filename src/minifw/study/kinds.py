"""The kinds of studies by their names, for what is done with any study: resuming, merging."""

from __future__ import annotations

from collections.abc import Mapping

from minifw.study.rounds import Kind
from minifw.study.sweeps import Sweep

KINDS: Mapping[str, Kind] = {"sweep": Sweep()}
