"""Norms of each layer over the epochs as a chart, and what they say: vanishing, exploding, dead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from minifw.charts import Axis, Band, Chart, Line, Mark, Panel
from minifw.report.bands import Floats
from minifw.runs import Mode, Run
from minifw.runs.norms import Gradients, gradients_of

NAME = "gradients"
FAR = 1000.0
"""How many times smaller or larger the gradients of the first layer are than those of the last, or
than they were, to be called vanishing or exploding."""
DEAD = 0.01
"""The share of dead units from which a layer is mentioned."""
MOST = 60
"""Evaluations that are drawn, at most."""
PANELS = {
    "activation": ("Activations", "RMS of a layer's results"),
    "gradient": ("Gradients", "RMS of dL/dθ of a layer"),
    "ratio": ("Updates", "update / weights, RMS of each"),
}
MODES: Mapping[Mode, str] = {"full-batch": "full batch", "sgd": "SGD"}


def of_run(run: Run) -> Chart | None:
    """Return the norms of a run's layers over the epochs; None if it has not recorded them.

    The chart's description is what the norms say: vanishing or exploding gradients, dead units.
    """
    return chart(gradients_of(run))


def chart(modes: Mapping[Mode, Gradients]) -> Chart | None:
    """Return the norms of a run's layers with parameters over the epochs; None without any."""
    panels, rows = [], []
    for mode, of in modes.items():
        trained = trained_layers(of)
        behind = f", {MODES[mode]}" if len(modes) > 1 else ""
        for kind, (title, label) in PANELS.items():
            marks: list[Mark] = []
            lines: list[Mark] = []
            for color, layer in enumerate(trained):
                epochs, bands = quartiles(of, kind, layer)
                if not len(epochs):
                    continue
                name = of.layers[layer]
                rows += [(mode, kind, name, epoch, *band) for epoch, band in zip(
                    epochs.tolist(), bands.tolist(), strict=True)]  # fmt: skip
                some = np.unique(np.linspace(0, len(epochs) - 1, MOST).round().astype(int))
                x, (low, median, high) = epochs[some], above_zero(bands[some]).T
                marks.append(Band(name, x, low, high, color))
                lines.append(Line(name, x, median, color, dashed=bool(color % 2)))
            drawn = (*marks, *lines)
            panels.append(Panel(title + behind, Axis("epoch"), Axis(label, "log"), drawn))
    if not rows:
        return None
    columns = ("mode", "of", "layer", "epoch", "lower quartile", "median", "upper quartile")
    data = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    last = {mode: max((row[3] for row in rows if row[0] == mode), default=0) for mode in modes}
    ends = [row for row in rows if row[3] in (0, last[row[0]])]
    first = next(iter(modes.values()))
    seeds = len(first.seeds)
    return Chart(
        NAME,
        "Activations, gradients and updates of each layer",
        f"Root mean squares (RMS) of each layer with parameters, against epochs, on a logarithmic "
        f"axis: median over {seeds} seed{'s' * (seeds != 1)}, band from the lower to the upper "
        f"quartile. They are those of one step on the first {first.samples} training samples of "
        "each seed, which was only tried. Zeros have no place on the axis; seeds that diverged are "
        "left out.",
        " ".join(findings(modes)),
        tuple(panels),
        data,
        dict(zip(columns, map(list, zip(*ends, strict=True)), strict=True)),
    )


def trained_layers(of: Gradients) -> list[int]:
    """Return the positions of the layers with parameters."""
    return [int(layer) for layer in np.flatnonzero(~np.isnan(of.weight).all((0, 1)))]


def quartiles(of: Gradients, kind: str, layer: int) -> tuple[Floats, Floats]:
    """Return epochs, and lower quartile, median and upper quartile over the seeds left, (k, 3)."""
    if kind == "ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            values = of.update[..., layer] / of.weight[..., layer]
    else:
        values = getattr(of, kind)[..., layer]
    known = np.isfinite(values)
    left = known.any(1)
    bands = [np.percentile(row[there], (25, 50, 75)) for row, there in
             zip(values[left], known[left], strict=True)]  # fmt: skip
    return of.epoch[left].astype(np.float64), np.array(bands).reshape(-1, 3)


def above_zero(values: Floats) -> Floats:
    """Return the values, NaN where a logarithm has no place for them."""
    return np.where(values > 0, values, np.nan)


def findings(modes: Mapping[Mode, Gradients]) -> list[str]:
    """Return in sentences what the norms of a run say of its layers."""
    found = []
    for mode, of in modes.items():
        where = f"{MODES[mode]}: " if len(modes) > 1 else ""
        own = [*_gradients(of), *_dead(of)]
        found += [where + text if where else text[0].upper() + text[1:] for text in own]
    return found


def _gradients(of: Gradients) -> Iterator[str]:
    """Say whether gradients vanish or explode from the last layer to the first, or in time."""
    trained = trained_layers(of)
    medians = [quartiles(of, "gradient", layer) for layer in trained]
    if not medians or not all(len(epochs) for epochs, _ in medians):
        yield "no seed is left to say anything of its gradients."
        return
    first, last = (bands[:, 1] for _, bands in (medians[0], medians[-1]))
    names = of.layers[trained[0]], of.layers[trained[-1]]
    said = False
    if len(trained) > 1:
        for row, when in ((0, "before training"), (-1, "at the end")):
            if not (first[row] > 0 or last[row] > 0):
                continue
            ratio = first[row] / last[row] if last[row] > 0 else np.inf
            if not 1 / FAR <= ratio <= FAR:
                word, size = ("explode", ratio) if ratio > 1 else ("vanish", ratio)
                yield (
                    f"{when}, gradients {word} on the way back: those of {names[0]} are "
                    f"{size:.1e} times those of {names[1]}, in the median over the seeds."
                )
                said = True
    grown = max((bands[:, 1].max() / bands[0, 1] for _, bands in medians if bands[0, 1] > 0),
                default=0.0)  # fmt: skip
    if grown > FAR:
        yield f"the gradients of a layer grew to {grown:.1e} times what they were at first."
        said = True
    gone = int(np.isnan(of.weight[-1][:, trained]).all(1).sum())
    if gone:
        yield f"{gone} of {len(of.seeds)} seeds diverged, and are left out."
    if not said:
        yield "no gradients vanish or explode between the first layer and the last."


def _dead(of: Gradients) -> Iterator[str]:
    """Say how many units of each activation function are dead at the end."""
    shares = of.dead_at_end
    layers = [int(layer) for layer in np.flatnonzero(~np.isnan(shares).all(0))]
    if not layers:
        return
    said = []
    for layer in layers:
        known = shares[:, layer][~np.isnan(shares[:, layer])]
        if known.max() >= DEAD:
            median, most = 100 * np.median(known), 100 * known.max()
            said.append(f"{of.layers[layer]} {median:.0f} % (at most {most:.0f} %)")
    if said:
        yield (
            f"units that are dead at the end, 0 for all of the first {of.samples} training "
            f"samples, in the median over the seeds: {', '.join(said)}."
        )
    else:
        yield f"no layer has more than {100 * DEAD:.0f} % of dead units at the end."
