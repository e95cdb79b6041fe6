"""The classes of inline SVG as a style sheet, which a page has once: light, dark and in print."""

from __future__ import annotations

from minifw.charts.palette import DARK, LIGHT, Palette, tint


def _colours(palette: Palette) -> str:
    named = {
        "paper": palette.paper, "ink": palette.ink, "soft": palette.soft, "grid": palette.grid,
        "single": palette.quiet, "low": palette.text_low, "high": palette.text_high,
        **{f"c{n}": colour for n, colour in enumerate(palette.series)},
        **{f"t{n}": tint(colour, palette.paper) for n, colour in enumerate(palette.series)},
        **{f"s{n}": colour for n, colour in enumerate(palette.steps)},
    }  # fmt: skip
    return ".chart{" + ";".join(f"--{name}:{colour}" for name, colour in named.items()) + "}"


_SHAPES = """
.chart{display:block;width:100%;height:auto;background:var(--paper);
font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
font-variant-numeric:tabular-nums;direction:ltr}
.chart text{fill:var(--ink);stroke:none}
.chart .name{font-weight:600}
.chart .tick{font-size:11px;fill:var(--soft)}
.chart .mid{text-anchor:middle}
.chart .end{text-anchor:end}
.chart .note,.chart .region{font-size:11px;paint-order:stroke;stroke:var(--paper);stroke-width:3px;
stroke-linejoin:round}
.chart .region{font-size:12px;font-weight:600}
.chart .axis{fill:none;stroke:var(--soft)}
.chart .grid{fill:none;stroke:var(--grid)}
.chart .rule{fill:none;stroke:var(--ink);stroke-width:1.2;stroke-dasharray:6 4}
.chart .line{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round;
stroke-linecap:round}
.chart .dashed{stroke-dasharray:5 4;stroke-linecap:butt}
.chart .quiet{display:none}
.chart .quiet .line{stroke-width:.8;stroke-opacity:.55}
.seeds .chart .quiet,.chart.seeds .quiet{display:inline}
.chart .band{fill:var(--c);fill-opacity:.2;stroke:none}
.chart .area{fill:var(--t);fill-rule:evenodd;stroke:var(--t);stroke-width:.6}
.chart .span{fill:none;stroke:var(--c);stroke-width:3}
.chart .bar{fill:var(--c);fill-opacity:.85;stroke:var(--c)}
.chart .hollow{fill-opacity:.2}
.chart .circle,.chart .square{fill:none;stroke:var(--c);stroke-width:6.4;stroke-linecap:round}
.chart .square{stroke-width:5.8;stroke-linecap:square}
.chart .diamond{fill:var(--c);stroke:var(--paper);stroke-width:2px;paint-order:stroke}
.chart .cross{fill:none;stroke:var(--c);stroke-width:1.8}
.chart .circle.tiny{stroke-width:3.4}
.chart .square.tiny{stroke-width:3}
.chart .dots{opacity:.85}
.chart .cell{stroke:var(--paper)}
.chart .cell.none{fill:none;stroke:var(--grid)}
.chart .cell-text{font-size:11px;fill:var(--low)}
.chart .cell-text.high{fill:var(--high)}
.chart .cell-text.small{font-size:8.5px}
"""

_CLASSES = "".join(
    [f".chart .c{n}{{--c:var(--c{n});--t:var(--t{n})}}" for n in range(len(LIGHT.series))]
    + [f".chart .s{n}{{fill:var(--s{n})}}" for n in range(len(LIGHT.steps))]
)

STYLE = (
    f"{_colours(LIGHT)}\n"
    f"@media (prefers-color-scheme:dark){{{_colours(DARK)}}}\n"
    f"@media print{{{_colours(LIGHT)}.chart{{break-inside:avoid;print-color-adjust:exact}}}}"
    f"{_SHAPES}{_CLASSES}\n"
)
"""The style sheet; within an element of class `seeds` lines of single seeds are shown too."""
