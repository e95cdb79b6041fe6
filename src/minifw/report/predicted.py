"""The charts of a regression: predictions against what is true, and how far they are off."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from minifw.charts import Axis, Chart, Dots, Line, Panel, Rule
from minifw.charts.reach import SHAPES
from minifw.errors import short_word
from minifw.report.bands import Floats
from minifw.report.words import listed, many, sentence
from minifw.runs import Mode, Run
from minifw.runs.results import Results

FILE = "predicted.npz"
DRAWN = 200
"""Samples of a target that are drawn, at most."""
ROWS = 20
"""Rows of the table in the page."""
TARGETS = 5
"""Targets that are drawn, at most."""
TABLE = "the table has the samples that are farthest off"


def charts(run: Run, results: Results) -> list[Chart]:
    """Return predictions against true numbers, and residuals; nothing if no seed is left."""
    if FILE not in run.known:
        return []
    with np.load(io.BytesIO(run.read(FILE)), allow_pickle=False) as arrays:
        content = {name: arrays[name] for name in arrays.files}
    modes = [mode for mode in results.modes if f"{mode}/true" in content]
    if not modes:
        return []
    return [_predicted(content, modes, results), _residuals(content, modes, results)]


def _names(results: Results) -> list[str]:
    return [short_word(name) for name in results.measured.targets]


def _data(content: dict[str, Any], modes: list[Mode], results: Results) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {
        key: [] for key in ("mode", "target", "true", "predicted", "predicted − true")
    }
    for mode in modes:
        true, found = content[f"{mode}/true"], content[f"{mode}/predicted"]
        for column, name in enumerate(_names(results)):
            columns["mode"] += [mode] * len(true)
            columns["target"] += [name] * len(true)
            columns["true"] += true[:, column].tolist()
            columns["predicted"] += found[:, column].tolist()
            columns["predicted − true"] += (found - true)[:, column].tolist()
    return columns


def _shown(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the rows that are farthest off."""
    off = np.abs(np.array(columns["predicted − true"], np.float64))
    worst = np.argsort(-off, kind="stable")[:ROWS].tolist()
    return {
        key: [float(f"{v[k]:.4g}") if isinstance(v[k], float) else v[k] for k in worst]
        for key, v in columns.items()
    }


def _caption(content: dict[str, Any], modes: list[Mode], results: Results, what: str) -> str:
    count = len(content[f"{modes[0]}/true"])
    measure = results.measured
    who = listed([f"{results.title(mode)}: seed {int(content[f'{mode}/seed'])}" for mode in modes])
    parts = [
        f"{what} {measure.what}, of {many(count, 'test sample')}, by the network whose test "
        f"RMSE is nearest to the median ({who})"
    ]
    if count > DRAWN:
        parts.append(f"the first {DRAWN} of them are drawn")
    if len(measure.targets) > TARGETS:
        parts.append(f"the first {TARGETS} of {len(measure.targets)} targets are drawn")
    return " ".join(map(sentence, parts))


def _dots(names: list[str], x: Floats, y: Floats) -> list[Dots]:
    """Return the first samples `(n, targets)` of each target."""
    return [
        Dots(name, x[:DRAWN, k], y[:DRAWN, k], k, SHAPES[k % len(SHAPES)])
        for k, name in enumerate(names[:TARGETS])
    ]


def _wording(results: Results) -> tuple[str, str]:
    """Return what an axis has, and its unit, as in `, mm`."""
    targets, unit = _names(results), results.measured.unit
    return targets[0] if len(targets) == 1 else "target", f", {unit}" if unit else ""


def _predicted(content: dict[str, Any], modes: list[Mode], results: Results) -> Chart:
    measure, (what, unit) = results.measured, _wording(results)
    panels, said = [], []
    for mode in modes:
        true, found = (content[f"{mode}/{key}"] for key in ("true", "predicted"))
        low, high = float(min(true.min(), found.min())), float(max(true.max(), found.max()))
        margin = 0.04 * ((high - low) or 1.0)
        ends = (low - margin, high + margin)
        diagonal = Line("predicted = true", ends, ends, 7, dashed=True)
        x, y = (Axis(f"{word} {what}{unit}", limits=ends) for word in ("true", "predicted"))
        dots = _dots(_names(results), true, found)
        error = measure.figure(float(content[f"{mode}/error"]))
        title = f"{results.title(mode)}, test {measure.name} {error}"
        panels.append(Panel(title, x, y, (diagonal, *dots), square=True))
        spread = [np.ptp(part) for part in (true, found)]
        title = f"{results.title(mode)}: " if len(modes) > 1 else ""
        share = f"{100 * spread[1] / spread[0]:.0f} %" if spread[0] else "0 %"
        said.append(
            f"{title}the test RMSE of this network is {error}; its predictions span {share} of "
            "the range of the true numbers"
        )
    columns = _data(content, modes, results)
    return Chart(
        name="predicted",
        title="Predicted against true",
        caption=_caption(content, modes, results, "predictions against true numbers"),
        description=" ".join(map(sentence, [*said, TABLE])),
        panels=tuple(panels),
        data=columns,
        shown=_shown(columns),
    )


def _residuals(content: dict[str, Any], modes: list[Mode], results: Results) -> Chart:
    measure, (what, unit) = results.measured, _wording(results)
    panels, said = [], []
    for mode in modes:
        true, found = (content[f"{mode}/{key}"] for key in ("true", "predicted"))
        off = found - true
        x, y = Axis(f"predicted {what}{unit}"), Axis(f"predicted − true{unit}")
        dots = _dots(_names(results), found, off)
        panels.append(Panel(results.title(mode), x, y, (Rule("no error", 0.0), *dots)))
        title = f"{results.title(mode)}: " if len(modes) > 1 else ""
        mean = float(off.mean())
        size = measure.figure(abs(mean))
        said.append(
            f"{title}on average predictions are {size} too {'high' if mean > 0 else 'low'}, "
            f"half of them are within {measure.figure(float(np.median(np.abs(off))))}"
        )
    columns = _data(content, modes, results)
    return Chart(
        name="residuals",
        title="How far predictions are off",
        caption=_caption(content, modes, results, "predicted minus true against predicted numbers"),
        description=" ".join(map(sentence, [*said, TABLE])),
        panels=tuple(panels),
        data=columns,
        shown=_shown(columns),
    )
