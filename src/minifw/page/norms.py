"""How activations, gradients and updates of each layer went, as a chart of a page."""

from __future__ import annotations

from minifw.charts import Chart
from minifw.report import norms
from minifw.runs import Run
from minifw.runs.norms import gradients_of


def norms_chart(run: Run) -> Chart | None:
    """Return the norms of a run's layers over the epochs; None if it has not recorded them.

    The chart's description is what the norms say: vanishing or exploding gradients, dead units.
    """
    found = gradients_of(run)
    return norms.chart(found) if found else None
