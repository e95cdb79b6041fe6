"""The part of a page that explains the network: its picture, and its first step line by line."""

from __future__ import annotations

from minifw.config.model import Config
from minifw.errors import MinifwError
from minifw.experiment import inputs
from minifw.experiment.replay import plan_of
from minifw.explain import Explained, explain
from minifw.explain.sketch import sketch
from minifw.explain.text import conclusion, title
from minifw.page.document import Diagram, Document, Grid, Paragraph, Piece, Section
from minifw.page.steps import steps_of
from minifw.report.tables import Table
from minifw.report.words import listed, many
from minifw.runs import Run

MOST_LAYERS = 40
"""Layers of a network that is drawn on the page of a run."""
MOST_STATES = 60
"""Lines that a step may execute to be on the page of a run; each takes about 1 kB there."""
MOST_WEIGHTS = 20_000
"""Parameters of a network whose step is explained on the page of a run."""


def section_of(run: Run, allow_code: bool = False, prefix: str = "") -> Section | None:
    """Return the section that explains the network of a run and the first step of its first seed.

    Without the data, or of a large network, it has the picture alone. None where there is none: of
    a study, of a run with Python files that may not be executed, of a very large network.
    """
    if run.manifest.kind != "train":
        return None
    try:
        config = inputs.config_of(run, allow_code)
        features = len(inputs.read(run).features)
        if len(config.network) > MOST_LAYERS:
            return None
        pieces: list[Piece] = [_diagram(config, features)]
    except MinifwError:
        return None
    try:
        pieces += _step(run, allow_code)
    except MinifwError:  # such as a data file that is gone
        return Section(f"{prefix}network", "The network", tuple(pieces))
    return Section(f"{prefix}network", "The network, and a step", tuple(pieces))


def _step(run: Run, allow_code: bool) -> list[Piece]:
    plan = plan_of(run, allow_code)
    if sum(plan.sizes.parameters) > MOST_WEIGHTS:
        return []
    found = explain(plan, plan.seeds[0])
    pieces = of_step(found)
    return pieces if len(found.moments) <= MOST_STATES else pieces[:-1]


def of_step(found: Explained) -> list[Piece]:
    """Return the pieces that explain a step: two sentences, each layer, each line of code."""
    return [
        Paragraph(f"{title(found)}. {conclusion(found)}"),
        Grid("layers", _layers(found)),
        steps_of(found),
    ]


def document_of_step(found: Explained, config: Config) -> Document:
    """Return the page of `minifw explain --out`."""
    return Document(
        f"{found.config}: one step explained",
        (f"{title(found)}.", conclusion(found)),
        (
            Section("network", "The network", (_diagram(config, found.features),)),
            Section(
                "layers", "Layer by layer", (*_formulas(found), Grid("layers", _layers(found)))
            ),
            Section("step", "A step", (steps_of(found),)),
        ),
    )


def _diagram(config: Config, features: int) -> Diagram:
    picture = sketch(config, features)
    folded = " A dashed box stands for several layers." if picture.folds else ""
    return Diagram(
        "network",
        "Layers and sizes",
        "Each box is a layer with its number, the size of its output for one sample, and how many "
        f"parameters it has; arrows lead from what a layer gives to what takes it.{folded}",
        picture,
    )


def _formulas(found: Explained) -> list[Piece]:
    """Return the formula of each kind of layer, of the loss and of the optimiser."""
    said = {layer.kind: layer.formula for layer in found.layers}
    said |= {found.cost.module.partition("(")[0]: found.cost.formula}
    said |= {found.optimizer.partition("(")[0]: found.rule}
    return [Paragraph(f"{name}: {formula}") for name, formula in said.items()]


def _layers(found: Explained) -> Table:
    """Return the table of all layers."""
    head = ("layer", "output", "‖y‖", "‖dL/dy‖", "dead units", "share of the update, %")
    rows = []
    for layer in found.layers:
        dead = layer.dead
        shown = None if dead is None else f"{dead.always} of {dead.units}"
        rows.append(
            (
                layer.where,
                [
                    "×".join(map(str, layer.output.shape)),
                    f"{layer.output.norm:.4g}",
                    None if layer.came is None else f"{layer.came.numbers.norm:.4g}",
                    shown,
                    f"{100 * layer.share:.1f}" if layer.parameters else None,
                ],
            )
        )
    said = ["the size of its output", "the norms of output and gradient"]
    looked_at = next((layer.dead.samples for layer in found.layers if layer.dead), None)
    if looked_at is not None:
        said.append(f"units that are 0 for all of the first {looked_at} training samples")
    said.append("its share in the squared norm of the update")
    samples = many(found.samples, "sample")
    return Table(f"Each layer in this step of {samples}: {listed(said)}", head, rows)
