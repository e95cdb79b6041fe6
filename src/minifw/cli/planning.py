"""Turns the options of a command (config, overrides, seeds, threads) into a checked plan."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from minifw.config.packaged import find_config
from minifw.errors import UsageError, one_line
from minifw.system import machine

if TYPE_CHECKING:
    from minifw.experiment import Plan
    from minifw.runs import Arm


def plan_of(
    name: str,
    overrides: list[str] | None,
    seeds: int | None = None,
    *,
    default_seeds: int = 1,
    arms: Sequence[Arm] | None = None,
    margin: float | None = None,
    allow_code: bool = False,
) -> Plan:
    """Return the plan of a command, with all that the user gave checked; nothing is written.

    `arms` are those of a comparison, in all modes; without them minifw trains in the config's mode.
    `allow_code` permits the config to name classes of Python files beside it.
    """
    check_count("--seeds", seeds)
    import_torch()
    from minifw.config import loading

    given = [*(overrides or []), *([] if seeds is None else [f"seeds={seeds}"])]
    config, source = loading.load_with_source(find_config(name), given, allow_code=allow_code)
    from minifw.experiment import plan
    from minifw.runs import MODES

    modes = [config.train.mode] if arms is None else [*MODES]
    made = plan.plan(config, default_seeds, modes, source, arms=arms or ["minifw"], margin=margin)
    for note in made.notes:
        print(one_line(f"minifw: data: {note}"), file=sys.stderr)
    return made


def check_count(option: str, value: int | None) -> None:
    """Raise a UsageError if an option that counts something is below 1."""
    if value is not None and value < 1:
        raise UsageError(f"{option}: must be at least 1, got {value}")


def check_threads(threads: int | None) -> None:
    """Raise a UsageError if this process may not use that many CPUs."""
    check_count("--threads", threads)
    if threads is not None:
        machine.check_threads("--threads", threads)


def set_threads(threads: int | None) -> None:
    """Set torch's number of threads, by default `usual_threads()`."""
    check_threads(threads)
    import_torch()
    import torch

    torch.set_num_threads(threads or usual_threads())


def import_torch() -> None:
    """Import torch without looking for garbage: there is none, and it takes 5 % of the import."""
    if "torch" not in sys.modules:
        gc.disable()
        importlib.import_module("torch")
        gc.freeze()  # nor is there any to be found later
        gc.enable()


def usual_threads() -> int:
    """Return torch's own number of threads, at most what a container's quota allows."""
    import torch

    return min(torch.get_num_threads(), machine.processors())
