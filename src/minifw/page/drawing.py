"""Stands in for `charts.svg` until it is there: a chart as inline SVG."""

from __future__ import annotations

import html

from minifw.charts import Chart
from minifw.errors import harmless


def inline(chart: Chart, identifier: str) -> str:
    """Return an empty picture with the title and the description of a chart."""
    title, description = (html.escape(harmless(t)) for t in (chart.title, chart.description))
    return (
        f'<svg class="chart" role="img" viewBox="0 0 320 60" aria-labelledby="{identifier}-title '
        f'{identifier}-description"><title id="{identifier}-title">{title}</title>'
        f'<desc id="{identifier}-description">{description}</desc>'
        f'<text x="8" y="30">{title}</text></svg>'
    )
