"""Charts: inline SVG and files show the same numbers, whatever the names and the numbers are."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from numpy.typing import NDArray
from pyarrow import parquet

from minifw.charts import (
    Areas,
    Axis,
    Band,
    Bars,
    Cells,
    Chart,
    Column,
    Dots,
    Line,
    Mark,
    Note,
    Panel,
    Rule,
    Span,
    canvas,
    drawn,
    files,
    svg,
)
from minifw.charts.layout import NAMES, lay_out
from minifw.charts.legend import named
from minifw.charts.lettering import broken, fitted, number, width
from minifw.charts.markup import Frame, quiet_lines
from minifw.charts.markup import line as path_of
from minifw.charts.palette import DARK, HIGH, LIGHT, Palette, tint
from minifw.charts.places import middle
from minifw.charts.reach import extents
from minifw.charts.scales import Extent, extent, numeral, ticks
from minifw.charts.style import STYLE
from minifw.errors import StorageError, UsageError

HOSTILE = ("</svg><script>alert(1)</script>", "\"'&<>", "a\x1b[31m\x00\u202eb", "x" * 200, "שלום", "",
           "\ud800", "$x_1$ \\end{table} % #", "]]>", "漢字")  # fmt: skip


def chart(*marks: Mark, x: Axis | None = None, y: Axis | None = None, title: str = "T") -> Chart:
    panel = Panel(title, x or Axis("epoch"), y or Axis("error, %"), marks)
    return Chart("name", title, "caption", "description", (panel,), {"a": [1, 2]})


def parsed(of: Chart, identifier: str = "one") -> ET.Element:
    return ET.fromstring(svg.inline(of, identifier))


def every_mark(text: str) -> Chart:
    names = Axis(text, "category", (text, f"{text}2"))
    marks = (
        Line(text, [0, 1], [1, 2]), Line(text, [0, 1], [2, 1], 1, dashed=True),
        Band(text, [0, 1], [0, 1], [2, 3], 2), Dots(text, [0, 1], [1, 1], labels=(text, text)),
        Span(text, [0, 1], [0, 0], [1, 2], 4), Bars(text, [0, 1], [1, 2], 5), Rule(text, 1),
        Rule(text, 0.5, horizontal=False), Note(text, 0, 1),
    )  # fmt: skip
    heat = (Cells(text, np.array([[1, 2], [np.nan, 4]]), ((text, text), (text, text))),)
    fields = (Areas(text, [[(0, 0), (1, 0), (1, 1)]]), Dots(text, [0.5], [0.5], shape="cross"))
    panels = (
        Panel(text, names, Axis(text), marks),
        Panel(text, names, names, heat),
        Panel(text, Axis(text), Axis(text), fields),
    )
    return Chart(text, text, text, text, panels, {text: [1.5, None], f"{text}2": [text, text]})


# ------------------------------------------------------------------------------------- inline SVG


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_any_kind_stays_text(text: str) -> None:
    root = parsed(every_mark(text), text)
    assert {element.tag for element in root.iter()} <= {"svg", "title", "desc", "g", "path", "text"}
    attributes = {name for element in root.iter() for name in element.attrib}
    assert attributes <= {
        "class", "d", "viewBox", "role", "aria-labelledby", "id", "x", "y", "transform",
        "width", "height",
    }  # fmt: skip
    assert all(each.isprintable() for each in root.itertext())
    assert text.isprintable() <= (text in "".join(root.itertext()))


def test_it_is_an_image_with_a_name_and_a_description_and_no_width() -> None:
    root = parsed(chart(Line("a", [0, 1], [1, 2])), "a b<c")
    assert root.get("role") == "img"
    assert "width" not in root.attrib
    texts = {each.get("id"): each.text for each in root.iter() if each.get("id")}
    assert [texts[name] for name in (root.get("aria-labelledby") or "").split()] == [
        "T", "description",
    ]  # fmt: skip


def test_every_class_has_a_style_and_no_other() -> None:
    used = set()
    for n in range(8):
        pictures = [chart(Bars("b", [0], [1], n), Line("l", [0, 1], [0, n], n), Dots("d", [0], [1], n, shape=s))
                    for s in ("circle", "square", "diamond", "cross")]  # fmt: skip
        for each in (*pictures, every_mark("a"), chart(Cells("c", np.arange(10)[None]))):
            words = (element.get("class", "") for element in parsed(each).iter())
            used |= {word for line in words for word in line.split()}
    used |= {"quiet", "tiny", "small", "seeds"}
    styled = set(re.findall(r"\.([a-z][\w-]*)", re.sub(r"\d\.\d|\{[^{}]*\}", "{}", STYLE)))
    assert used - {"dots", "label", "none"} <= styled
    assert styled <= used


def test_nan_breaks_a_line_and_leaves_out_a_dot() -> None:
    gap = [0.0, 1.0, np.nan, 3.0, 4.0]
    text = svg.inline(chart(Line("a", range(5), gap), Dots("b", range(5), gap)), "c")
    line, dots = re.findall(r'class="(?:line|dots)[^"]*" d="([^"]*)"', text)[:2]
    assert line.count("M") == 2
    assert dots.count("M") == 4
    assert "nan" not in text.lower()


def test_a_point_alone_is_seen_though_a_line_through_it_has_no_length() -> None:
    root = parsed(chart(Line("a", [1, 2, 3], [1, np.nan, 3])))
    (dots,) = [each for each in root.iter() if each.get("class", "").startswith("dots")]
    assert dots.attrib["d"].count("M") == 2


def test_single_seeds_are_one_path_of_a_colour_that_nobody_sees_unasked() -> None:
    rng = np.random.default_rng(0)
    seeds = [Line(f"seed {n}", range(50), rng.random(50), n % 2, quiet=True) for n in range(20)]
    root = parsed(chart(*seeds, Band("q", range(50), np.zeros(50), np.ones(50))))
    (group,) = [each for each in root.iter() if each.get("class") == "quiet"]
    assert [each.attrib["d"].count("M") for each in group] == [10, 10]
    assert ".chart .quiet{display:none}" in STYLE
    assert not any("seed" in text for text in root.itertext())


def points_of(d: str) -> NDArray[np.float64]:
    """The points of a path without breaks, of M and l only."""
    start, moves = d[1:].split("l")
    numbers = [float(n) for n in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", f"{start} {moves}")]
    return np.array(numbers).reshape(-1, 2).cumsum(0)


def test_fewer_points_make_the_same_line() -> None:
    rng = np.random.default_rng(0)
    x, y = np.arange(300.0), 40 * np.exp(-np.arange(300) / 60) + 0.02 * rng.normal(size=300)
    frame = Frame(Extent("linear", 0, 300), Extent("linear", 0, 50), 0, 0, 600, 300)
    for draw, most, far in ((path_of, 200, 0.25), (alone, 60, 1.5)):
        kept = points_of(draw(Line("a", x, y), frame))
        assert 10 < len(kept) < most
        assert np.abs(np.interp(frame.x(x), *kept.T) - frame.y(y)).max() < far


def alone(line: Line, frame: Frame) -> str:
    return quiet_lines([line], frame, 1)


def test_twenty_seeds_of_ten_thousand_noisy_epochs_are_small() -> None:
    rng = np.random.default_rng(0)
    seeds = [Line("", range(10001), rng.random(10001), n % 2, quiet=True) for n in range(40)]
    assert len(svg.inline(chart(*seeds), "a")) < 45_000


def test_what_limits_leave_out_is_cut_off_at_the_panel() -> None:
    whole = parsed(chart(Line("a", [0, 1], [1, 200])))
    cut = parsed(chart(Line("a", [0, 1], [1, 200]), y=Axis("e", limits=(0, 100))))
    assert [len([*root.iter("svg")]) for root in (whole, cut)] == [1, 2]


def test_places_are_those_of_the_numbers() -> None:
    drawing = chart(Dots("a", [1, 10, 100], [0, 50, 100]), x=Axis("x", "log"), y=Axis("y"))
    x, y = extents(drawing.panels[0])
    frame = Frame(x, y, 100, 50, 200, 100)
    first, second, third = frame.points([1, 10, 100], [0, 50, 100])
    assert second == pytest.approx((first + third) / 2)
    assert first[0] < second[0]
    assert first[1] > second[1]  # y grows upwards
    assert np.isnan(frame.points([0], [1])[0, 0])  # a log scale has no place for zero


def test_the_first_row_is_on_top() -> None:
    names = Axis("", "category", ("first", "second"))
    root = parsed(chart(Dots("", [0, 1], [0, 1]), y=names))
    first, second = (each for each in root.iter("text") if each.text in names.categories)
    assert (first.text, second.text) == names.categories
    assert float(first.attrib["y"]) < float(second.attrib["y"])
    heat = chart(Cells("c", [[0.0], [1.0]]))
    assert extents(heat.panels[0])[1].shares([0, 1]).tolist() == [0.75, 0.25]


def test_a_long_name_is_shortened_and_whole_in_its_title() -> None:
    name = "train.optimizer.learning_rate=0.001 and more of it " * 3
    root = parsed(chart(Dots("", [1], [0]), y=Axis("", "category", (name,))))
    (text,) = [each for each in root.iter("text") if "…" in (each.text or "")]
    assert text[0].text == name
    assert 100 < width(text.text or "", 11) <= NAMES


# ------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (0, 100, 5, ["0", "20", "40", "60", "80", "100"]),
        (0, 1, 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-1, 1, 4, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
        (0, 4e7, 4, ["0", "1×10⁷", "2×10⁷", "3×10⁷", "4×10⁷"]),
        (0, 3e-6, 3, ["0", "1×10⁻⁶", "2×10⁻⁶", "3×10⁻⁶"]),
        (99.99, 100.01, 2, ["99.99", "100.00", "100.01"]),
        (0, 20000, 2, ["0", "10 000", "20 000"]),
    ],
)
def test_ticks_of_a_linear_axis(low: float, high: float, most: int, expected: list[str]) -> None:
    assert [tick.text for tick in ticks(Extent("linear", low, high), most)] == expected


@pytest.mark.parametrize(
    ("low", "high", "most", "expected"),
    [
        (1e-4, 1, 6, [1e-4, 1e-3, 1e-2, 1e-1, 1]),
        (0.9, 30, 6, [1, 2, 5, 10, 20]),
        (1e-12, 1, 4, [1e-10, 1e-5, 1]),
        (2.1, 2.9, 4, [2.2, 2.4, 2.6, 2.8]),  # no power of ten: as a linear axis
        (1e-300, 1e300, 5, [1e-200, 1, 1e200]),
    ],
)
def test_ticks_of_a_log_axis(low: float, high: float, most: int, expected: list[float]) -> None:
    assert [tick.at for tick in ticks(Extent("log", low, high), most)] == pytest.approx(expected)


def test_whole_numbers_have_whole_ticks() -> None:
    found = ticks(extent(Axis("epoch"), [np.array([0.0, 3.0])], "tight"), 10)
    assert [tick.text for tick in found] == ["0", "1", "2", "3"]


ANY: list[list[float]] = [
    [], [np.nan], [5.0], [5.0, 5.0], [0.0], [np.inf, 1.0], [1e308, -1e308], [1e-320, 0.0],
    [-1.0, -2.0], [1e15, 1e15 + 1],
]  # fmt: skip


@pytest.mark.parametrize("values", ANY)
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_any_numbers_have_an_axis(values: list[float], scale: str) -> None:
    axis = Axis("a", "log" if scale == "log" else "linear")
    found = extent(axis, [np.array(values)])
    assert np.isfinite([found.low, found.high]).all()
    assert found.low < found.high
    assert len(ticks(found, 6)) <= 14
    shares = found.shares([v for v in values if 1e-300 < abs(v) < 1e300])
    assert ((shares >= -1e-9) & (shares <= 1 + 1e-9) | np.isnan(shares)).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.001, "0.001"), (1e-5, "10⁻⁵"), (-1e7, "−10⁷"), (1.5e7, "1.5×10⁷"),
     (12345, "12345"), (0.123456, "0.1235"), (np.nan, "–"), (-3, "−3"), (9999.7, "10000"),
     (9_999_600, "10⁷"), (9.9999e-5, "10⁻⁴"), (999_999.7, "10⁶"), (5e-324, "4.94×10⁻³²⁴")],
)  # fmt: skip
def test_numbers_as_people_read_them(value: float, text: str) -> None:
    assert numeral(value) == text


def test_a_panel_with_a_note_alone_is_not_empty() -> None:
    assert "nothing to draw" in svg.inline(chart(), "a")
    assert "nothing to draw" not in svg.inline(chart(Note("why", 0.5, 0.5)), "a")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0"), (-0.04, "0"), (0.5, ".5"), (-0.5, "-.5"), (10, "10"), (1.25, "1.2")],
)
def test_coordinates_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_names_fit_their_room() -> None:
    for name in ("a_long_name_of_something=0.0001", "WWWWWWWWWWWWWWWWWW", "漢字漢字漢字漢字漢字"):
        for room in (20, 60, 100):
            assert width(fitted(name, room, 12), 12) <= room
            assert all(width(line, 12) <= room for line in broken(f"{name} {name}", room, 12))
    assert fitted("short", 100, 12) == "short"
    assert fitted("rate=0.001 of this", 90, 12).startswith("ra")


def test_widths_are_not_below_those_of_a_wide_font() -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    for text in (
        "train.optimizer.learning_rate=0.001",
        "WWmw@%",
        "test error, %",
        "1×10⁻⁵ − 20 000",
    ):
        real = (
            TextPath((0, 0), text, size=12, prop=FontProperties("DejaVu Sans")).get_extents().width
        )
        assert real * 0.99 <= width(text, 12) <= 1.25 * real, text


def test_axes_of_the_same_limits_make_a_square() -> None:
    same = Axis("a", limits=(0, 2))
    for axes, square in (((same, same), True), ((same, Axis("b", limits=(0, 3))), False)):
        ((box,), _) = lay_out(chart(Dots("d", [1], [1]), x=axes[0], y=axes[1]))
        assert (box.wide == box.high) == square


def test_panels_beside_each_other_are_of_one_size_whatever_their_ticks() -> None:
    ends = Axis("PyTorch: test error, %", limits=(0, 59.7)), Axis("error, %", limits=(0, 4.24))
    panels = tuple(Panel("p", axis, axis, (Dots("d", [1], [1]),)) for axis in ends)
    boxes, _ = lay_out(replace(chart(), panels=panels))
    assert {(box.wide, box.high, box.top) for box in boxes} == {
        (boxes[0].wide, boxes[0].high, boxes[0].top)
    }
    for box in boxes:  # the label is beside the ticks, not over them
        ticks = max(width(tick.text, 11) for tick in box.y_ticks)
        assert box.before >= ticks + 6 + 12


def test_a_label_that_is_too_long_for_its_side_has_two_lines() -> None:
    cells = Cells("c", [[1.0, 2.0], [3.0, 4.0]])
    names = Axis("", "category", ("a", "b"))
    found = chart(cells, x=names, y=replace(names, label="class of the test samples"))
    ((box,), _) = lay_out(found)
    assert box.y_label == ("class of the", "test samples")
    ((short,), _) = lay_out(chart(cells, x=names, y=replace(names, label="true class")))
    assert short.y_label == ("true class",)
    assert box.before > short.before
    words = [text.text for text in parsed(found).iter() if text.get("transform", "") != ""]
    assert words == ["class of the", "test samples"]


def test_one_name_below_dots_does_not_take_all_the_room() -> None:
    dots = Dots("d", [0, 0.1], [1, 2])
    for count, most in ((1, 171.0), (2, 341.0), (9, 720.0)):
        names = tuple(f"arm {n}" for n in range(count))
        ((box,), _) = lay_out(chart(dots, x=Axis("", "category", names)))
        assert most / 2 < box.wide < most
    bars = Bars("b", [0], [1])
    ((box,), _) = lay_out(chart(bars, x=Axis("", "category", ("one",))))
    assert box.wide > 600


# ------------------------------------------------------------------------------------- what is said


def test_a_name_is_in_the_legend_once_with_each_of_its_colours() -> None:
    marks = [Band("half", [0], [0], [1], n) for n in (0, 1)] + [
        Line("a", [0], [1], n) for n in (0, 0)
    ]
    found = named(chart(*marks, Line("seed", [0], [0], quiet=True), Dots("", [0], [0])))
    assert [(entry.name, [m.color for m in entry.marks]) for entry in found] == [
        ("half", [0, 1]), ("a", [0]),
    ]  # fmt: skip
    assert named(chart(Dots("cat", [0], [0]), x=Axis("", "category", ("cat",)))) == []


def test_a_region_too_small_for_its_name_has_none_of_it() -> None:
    thin, wide = ([[(0, 0), (0, 9), (w, 9), (w, 0)]] for w in (0.08, 0.5))
    for areas, seen in ((thin, False), (wide, True)):
        square = Areas("rest", [[(0, 0), (0, 9), (1, 9), (1, 0)]], 1)
        root = parsed(chart(square, Areas("class 0", areas, 0)))
        inside = [each.text for each in root.iter("text") if "region" in each.get("class", "")]
        assert ("class 0" in inside) == seen
        assert all("…" not in (text or "") for text in inside)


def test_areas_are_named_in_the_order_of_their_colours() -> None:
    square = [[(0, 0), (0, 1), (1, 1)]]
    marks = Areas("class 1", square, 1), Areas("class 0", square, 0), Line("border", [0], [1])
    assert [entry.name for entry in named(chart(*marks))] == ["class 0", "class 1", "border"]


def test_a_heat_map_without_numbers_says_what_its_colours_mean() -> None:
    bare = "".join(parsed(chart(Cells("error", [[1.5, 20], [np.nan, 3]]))).itertext())
    assert "error: 1.5 to 20" in bare
    texts = (("1.5", "20"), ("–", "3"))
    assert "1.5 to" not in "".join(
        parsed(chart(Cells("error", [[1.5, 20], [np.nan, 3]], texts))).itertext()
    )


def test_lines_of_several_colours_differ_by_their_points() -> None:
    lines = [Line(f"{n}", range(9), np.arange(9) * n, n) for n in range(4)]
    kinds = {
        each.get("class", "")
        for each in parsed(chart(*lines)).iter()
        if "dots" in each.get("class", "")
    }
    assert {kind.split()[1] for kind in kinds} == {"circle", "square", "diamond", "cross"}
    alone = parsed(chart(lines[0], Line("dashed", [0, 1], [1, 0], 1, dashed=True)))
    assert not [each for each in alone.iter() if "dots" in each.get("class", "")]


def luminance(color: str) -> float:
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast_of_text_and_of_marks(palette: Palette) -> None:
    assert min(contrast(palette.paper, c) for c in (palette.ink, palette.soft)) >= 4.5
    assert min(contrast(palette.paper, color) for color in palette.series) >= 3
    for step, color in enumerate(palette.steps):
        text = palette.text_low if step < HIGH else palette.text_high
        assert contrast(color, text) >= 4.5, color
    found = [luminance(color) for color in palette.steps]
    assert found == sorted(found, reverse=palette is LIGHT)


# Of people without the pigment of long, or of medium waves: Viénot, Brettel and Mollon (1999).
BLIND = {
    "protan": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deutan": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
}


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", BLIND)
def test_the_first_colours_differ_for_who_sees_fewer(palette: Palette, kind: str) -> None:
    seen = [np.array(BLIND[kind]) @ np.array(to_rgb(color)) ** 2.2 for color in palette.series[:3]]
    for one, other in combinations(seen, 2):
        assert np.abs(one.clip(0) ** (1 / 2.2) - other.clip(0) ** (1 / 2.2)).max() > 0.15


# ------------------------------------------------------------------------------------- regions


def test_the_name_of_a_region_is_not_in_its_hole() -> None:
    turn = np.linspace(0, 2 * np.pi, 60)[:-1, None]
    ring = np.hstack([np.cos(turn), np.sin(turn)])
    field = np.array([(-2, -2), (2, -2), (2, 2), (-2, 2)])
    for polygons in ([field, ring], [ring, field]):
        sides = extents(Panel("", Axis("x"), Axis("y"), (Areas("o", polygons),)))
        at = middle(Areas("o", polygons), *sides)
        assert at is not None
        assert np.hypot(*(4 * np.array(at[:2]) - 2)) > 1.2
    assert middle(Areas("o", []), *sides) is None


def test_an_area_hides_those_before_it_and_marks_stand_out_from_it() -> None:
    assert "opacity" not in re.search(r"\.chart \.area\{.*?\}", STYLE, re.DOTALL)[0]  # type: ignore[index]
    for palette in (LIGHT, DARK):
        for color in palette.series:
            assert contrast(color, tint(color, palette.paper)) >= 3, color


# ------------------------------------------------------------------------------------- matplotlib


SAMPLES = {
    "marks": every_mark("name"), "none": chart(), "long": every_mark("a long name of an arm " * 4),
    "many": chart(Bars("a", range(20), range(20)), Bars("b", range(20), range(20), 1),
                  x=Axis("", "category", tuple(f"width={2**n}" for n in range(20)))),
}  # fmt: skip


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("name", SAMPLES)
def test_text_of_a_figure_is_within_it_and_apart(name: str, columns: int) -> None:
    with canvas.defaults():
        figure = drawn.figure(SAMPLES[name], columns)
        assert figure.get_figwidth() == {1: 3.4, 2: 7.0}[columns]
        canvas.png(figure, dpi=72)
        whole = figure.bbox.padded(1)
        for text in texts_of(figure):
            box = text.get_window_extent()
            assert whole.x0 <= box.x0 <= box.x1 <= whole.x1, text
            assert whole.y0 <= box.y0 <= box.y1 <= whole.y1, text
        for axes in figure.axes[:-1]:
            for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
                shown = [each for each in labels if each.get_text() and not each.get_rotation()]
                boxes = [each.get_window_extent().padded(-0.5) for each in shown]
                assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_a_dot_at_the_edge_is_whole_and_one_outside_is_cut_off() -> None:
    with canvas.defaults():
        for y, cut in ((0.0, False), (-1.0, True)):
            axis = Axis("y", limits=(0, 2))
            figure = drawn.figure(chart(Dots("d", [1, 2], [y, 1]), y=axis), 1)
            (line,) = figure.axes[0].lines
            assert line.get_clip_on() == cut


def texts_of(figure: object) -> Iterator[Text]:
    for each in figure.findobj(Text):  # type: ignore[attr-defined]
        if each.get_text() and each.get_visible():
            yield each


def test_a_style_file_replaces_ours(tmp_path: Path) -> None:
    style = tmp_path / "mine.mplstyle"
    style.write_text(
        "font.size: 6\naxes.prop_cycle: cycler('color', ['ff0000'])\ntext.parse_math: True\n"
    )
    of = chart(Line("$a_1^$", [0, 1], [1, 2], 3))
    figure = drawn.figure(of, 2, style)
    assert figure.axes[0].lines[0].get_color() == "#ff0000"
    assert {text.get_fontsize() for text in texts_of(figure)} <= {6.0, 5.5}
    assert files.content(of, "svg", style=style) != files.content(of, "svg")


@pytest.mark.parametrize(
    "text",
    [
        "axes.nothing: 1\n",
        "font.size: large?\n",
        "no colon\n",
        "lines.linewidth: ]\n",
        b"\xff\xfe\x00",
    ],
)
def test_a_wrong_style_file_is_one_line(tmp_path: Path, text: str | bytes) -> None:
    style = tmp_path / "wrong.mplstyle"
    style.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(UsageError, match=r"wrong\.mplstyle: must be a style file") as caught:
        drawn.figure(chart(), style=style)
    assert len(caught.value.lines) == 1


def test_a_style_file_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        files.write(chart(), tmp_path, ["svg"], style=tmp_path / "none.mplstyle")
    assert [*tmp_path.iterdir()] == []


# ------------------------------------------------------------------------------------- files

DATA: dict[str, Column] = {
    "seed": [0, 1, 2],
    "error": [0.1 + 0.2, None, 1e-17],
    "name": ["a,b", '"', "שלום"],
    "ok": [True, None, False],
}
NUMBERS = Chart("numbers", "T", "50 % of n_1 & more.", "d", chart().panels, DATA)


def test_numbers_are_exact_in_csv_and_parquet(tmp_path: Path) -> None:
    one, other = files.write(NUMBERS, tmp_path, ["csv", "parquet"])
    with one.open(newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == [*DATA]
    assert [float(row[1]) if row[1] else None for row in rows] == DATA["error"]
    assert [row[2] for row in rows] == DATA["name"]
    table = parquet.read_table(other)
    assert table.to_pydict() == DATA
    assert table.schema.metadata[b"caption"] == b"50 % of n_1 & more."


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    data = {"a": np.array([1.5, np.nan]), "b": list(np.array([1, 2]))}
    of = Chart("n", "T", "c", "d", chart().panels, data)  # type: ignore[arg-type]
    text = files.write(of, tmp_path, ["csv"])[0].read_text()
    assert text == "a,b\n1.5,1\nnan,2\n"


def test_tables_for_reading_are_short_and_escaped(tmp_path: Path) -> None:
    of = Chart(
        "numbers",
        "T",
        "50 % of n_1 & more|",
        "d",
        chart().panels,
        DATA,
        {"x": [0.123456], "y": ["a_b|"]},
    )
    one, other = files.write(of, tmp_path, ["md", "tex"])
    assert (
        one.read_text()
        == "50 % of n_1 & more\\|\n\n| x | y |\n| ---: | --- |\n| 0.1235 | a_b\\| |\n"
    )
    text = other.read_text()
    assert r"\caption{50 \% of n\_1 \& more\textbar{}}" in text
    assert r"0.1235 & a\_b\textbar{} \\" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no TeX")
def test_latex_takes_the_table_and_the_picture(tmp_path: Path) -> None:
    data: dict[str, Column] = {"a": [1e-9, -2.5], "<name> $": ["\\x{", "50 %"]}
    of = Chart(
        "n", "T", "A caption with # and ~^", "d", chart(Line("a", [0, 1], [0, 1])).panels, data
    )
    files.write(of, tmp_path, ["tex", "pdf"])
    (tmp_path / "a.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}\begin{document}\input{n.tex}"
        r"\includegraphics{n.pdf}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "a.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("text", HOSTILE)
def test_files_of_any_names_are_in_their_folder(tmp_path: Path, text: str) -> None:
    for name in (text, f"../{text}", f"/{text}"):
        of = Chart(name, text, text, text, every_mark(text).panels, {text: [text]})
        (path,) = files.write(of, tmp_path / "in", ["md"])
        assert path.parent == tmp_path / "in"
        assert len([*path.parent.iterdir()]) <= 3


def test_the_same_chart_makes_the_same_bytes_which_say_what_they_show() -> None:
    of = every_mark("name")
    for ending in files.FORMATS:
        assert files.content(of, ending) == files.content(of, ending), ending
    assert b"<dc:title>name</dc:title>" in files.content(of, "svg")
    assert b"/Subject (name name)" in files.content(of, "pdf")


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'svg'"):
        files.write(chart(), tmp_path, ["svgg"])
    with pytest.raises(UsageError, match="columns: must be 1 or 2, not 3"):
        files.write(chart(), tmp_path, ["svg"], columns=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        files.write(chart(), tmp_path / "file", ["csv"])
