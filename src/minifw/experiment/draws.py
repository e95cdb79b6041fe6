"""Whether the network can learn from all samples that the seeds draw; found before a run begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from minifw.config.declared import Normalize
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.data import DTYPES
from minifw.data.table import Table
from minifw.errors import DataError
from minifw.experiment import needs
from minifw.experiment.build import build_data


def check_draws(config: Config, source: Source, table: Table | None, seeds: Sequence[int]) -> None:
    """Raise a ConfigError if some of these seeds draws samples that cannot be used.

    They are drawn only where that may be; mostly the table or the config tells that it cannot.
    """
    _check_range(config, source, table, seeds)
    _check_altered(config, source, table, seeds)
    _check_tokens(config, source, table, seeds)


def _check_range(config: Config, source: Source, table: Table | None, seeds: Sequence[int]) -> None:
    """Raise a ConfigError if a seed draws samples of a file that are beyond the dtype."""
    if table is None or not _may_overflow(table, config.data.normalize, DTYPES[config.dtype]):
        return
    try:
        for seed in seeds:
            build_data(config, [seed], table)
    except DataError as fault:
        source.add(("data",), str(fault))
        raise source.error() from None


def _check_altered(
    config: Config, source: Source, table: Table | None, seeds: Sequence[int]
) -> None:
    """Raise a ConfigError if altered samples lack a class, exceed the dtype, or are no tokens."""
    noise = config.data.feature_noise or 0.0
    if noise and any(needs.takes_tokens(config)):
        what = "a layer takes the features as whole numbers, which noise would not leave"
        source.add(("data", "feature_noise"), what, of_key=True)
        raise source.error()
    is_risky = bool(noise) or config.data.imbalance is not None
    if table is not None:  # it has the samples of each class; noise is below 10 deviations
        kept = np.float64 if config.data.normalize else config.dtype
        with np.errstate(over="ignore"):
            reach = np.nanmax(np.abs(table.inputs)) * (1 + 10 * noise)
        is_risky = noise > 0 and bool(reach > np.finfo(kept).max)
    try:
        for seed in seeds if is_risky else ():
            build_data(config, [seed], table)
    except DataError as fault:
        key = "feature_noise" if "beyond" in str(fault) else "imbalance"
        source.add(("data", key), str(fault))
        raise source.error() from None


def _check_tokens(
    config: Config, source: Source, table: Table | None, seeds: Sequence[int]
) -> None:
    """Raise a ConfigError if a layer takes whole numbers, and those that are drawn are not such."""
    if not any(needs.takes_tokens(config)):
        return
    filled = table is not None and table.encoding is not None
    for seed in seeds if filled else seeds[:1]:  # each fills gaps with its own numbers
        for part in build_data(config, [seed], table).parts.values():
            needs.note_tokens(config, source, part.inputs.numpy(force=True))
            if source.faults:
                raise source.error()


def _may_overflow(table: Table, normalize: Normalize, dtype: torch.dtype) -> bool:
    """Return whether samples of some seed could be beyond the dtype.

    Whether they are depends on the samples that are drawn; this is rarely true.
    """
    largest = torch.finfo(dtype).max
    if table.inputs.dtype.kind != "f":
        return False
    together = normalize == "together"
    for values in [table.inputs] if together else table.inputs.T:
        column = values[~np.isnan(values)]
        if not column.size:
            continue
        with np.errstate(over="ignore"):
            if not normalize:
                reach = np.abs(column).max()
            else:
                # Different numbers differ at least by rounding: this bounds the standard deviation
                # from below, and thus normalised samples from above.
                sizes = np.abs(column[column != 0])
                nearest = sizes.min(initial=np.inf) * np.finfo(np.float64).eps / 2
                span = column.max() - column.min()
                reach = max(span, span / max(nearest, 5e-324) * len(column))
        if reach > largest:
            return True
    return False
