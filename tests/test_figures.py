"""Figures: no text outside the picture or over other text, each border once, losing one is no loss."""

from __future__ import annotations

import io
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.axis import Axis
from matplotlib.colors import to_rgba
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text

from conftest import ROOT, SMALL, Minifw
from minifw import runs
from minifw.charts import canvas
from minifw.experiment import decision as outcomes
from minifw.report import curves, lettering, planes, plots, regions
from minifw.report.process import Artist
from minifw.runs import Run
from minifw.runs.results import Results

HOSTILE = ("$\\frac{$", "a\nb\n\nc", "\\bf{%}_^&#~", "<b>\x1b[31m", "", "ü–\u202e", "$x$", "  ")
LONG = "a class whose name goes on and on until nobody wants to read it to the end"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(outcomes, "GRID", 41)  # less to draw
    with plots.defaults(), matplotlib.rc_context({"figure.dpi": 50}):
        yield


# ------------------------------------------------------------------------- runs that never ran


TRUE = [*to_rgba(regions.TRUE["color"])]


def results(
    *, seeds: int = 20, modes: int = 2, arms: int = 2, classes: int = 2, gone: int = 0, epochs: int = 1000,
    names: tuple[str, ...] = (), name: str = "simplenet",
) -> dict[str, Any]:  # fmt: skip
    names = names or tuple(str(number) for number in range(classes))
    arm = {"diverged_epoch": [7] * gone + [None] * (seeds - gone)}
    return {
        "name": name, "epochs": epochs, "seeds": [*range(seeds)],
        "data": {"features": [names[0], names[-1]], "test": 1000, "class_balance": dict.fromkeys(names, 1.0)},
        "modes": {mode: dict.fromkeys(("minifw", "pytorch")[:arms], arm) for mode in ("full-batch", "sgd")[:modes]},
    }  # fmt: skip


def typed(content: dict[str, Any]) -> Results:
    """The content as an object, with what no figure shows."""
    seeds = len(content["seeds"])
    rest = {
        "test_error": [None] * seeds, "train_error": [None] * seeds, "train_loss": [None] * seeds,
        "diverged_layer": [None] * seeds, "seconds": 1.0, "evaluation_seconds": 1.0,
        "summary": dict.fromkeys(("min", "median", "mean", "max")), "compiled": False,
    }  # fmt: skip
    modes = {
        mode: {a: {**x, **rest} for a, x in arms.items()} for mode, arms in content["modes"].items()
    }
    parity, speedup = None, None
    if len(next(iter(modes.values()))) > 1:
        of_mode = dict.fromkeys(
            ("max_gradient_difference", "max_gradient_difference_float64", "max_weight_difference")
        ) | {"gradients_not_finite": 0, "same_test_error": "", "different_seeds": []}
        parity, speedup = dict.fromkeys(modes, of_mode), dict.fromkeys(modes, 1.0)
    data = {"train": 1000, "majority_error": 0.0, **content["data"]}
    return Results.model_validate({
        "about": "", "dtype": "float32", "threads": 1, "eta": 0.1, "batch_size": None,
        "parity": parity, "speedup": speedup, **content, "modes": modes, "data": data,
    })  # fmt: skip


def lines(content: dict[str, Any], end: float, evaluations: int = 101) -> list[str]:
    """What metrics.jsonl says: errors from 50 % down to `end`, a little more for each seed."""
    seeds = len(content["seeds"])
    made = []
    for mode, arms in content["modes"].items():
        for arm, outcome in arms.items():
            for index, falling in enumerate(np.geomspace(50, max(end, 1e-3), evaluations)):
                errors = [
                    None if epoch is not None and index else
                    (float(falling) + 0.01 * seed * (end > 0)) * (end > 0 or falling > 0.1)
                    for seed, epoch in zip(range(seeds), outcome["diverged_epoch"], strict=True)
                ]  # fmt: skip
                epoch = index * content["epochs"] // max(1, evaluations - 1)
                made.append(json.dumps({"mode": mode, "arm": arm, "epoch": epoch,
                                        "train_error": errors, "test_error": errors}))  # fmt: skip
    return made


def plane(
    content: dict[str, Any], *, scale: float = 1.0, shift: float = 0.0, seed: int = 0
) -> bytes:
    """A decision.npz of networks that never were: each class wins around a point of its own."""
    rng = np.random.default_rng(seed)
    classes = len(content["data"]["class_balance"])
    arrays: dict[str, Any] = {"disk": np.array([0.5, 0.5, 0.4])} if scale == 1 else {}
    for mode in content["modes"]:
        axis = np.linspace(0, 1, outcomes.GRID)
        points = np.stack(np.meshgrid(axis, axis), -1)
        homes = rng.random((classes, 2))
        scores = -((points[:, :, None] - homes) ** 2).sum(-1)
        outputs = torch.from_numpy(scores.reshape(-1, classes))
        found = outcomes.decided_plane(outputs) | {
            "x": axis * scale + shift, "y": axis * scale - shift,
            "points": rng.random((200, 2)) * scale + (shift, -shift),
            "labels": rng.integers(classes, size=200), "answers": rng.integers(classes, size=200),
            "seed": np.array(2**31), "error": np.array(100.0),
        }  # fmt: skip
        arrays |= {f"{mode}/{name}": array for name, array in found.items()}
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def growth() -> dict[str, Any]:
    arms = [*curves.LINES]
    sizes = (1, 10, 100, 1000)

    def of(key: str, names: list[str], value: float) -> dict[str, Any]:
        return {key: {name: value * (k + 1) for k, name in enumerate(names)}}

    point = {
        "microseconds": {arm: {"median": 3.0 + k} for k, arm in enumerate(arms)},
        "seeds": 3, "batch": 3, "width": 3, "depth": 3,
    }  # fmt: skip
    return {
        "arms": arms,
        "growth": {size: [point | {size: n} for n in sizes] for size in ("seeds", "batch", "width", "depth")},
        "epochs": [{"epochs": n} | of("seconds", arms[:2], n / 10) for n in sizes],
        "memory": [{"seeds": n} | of("megabytes", arms[:2], n / 10) for n in sizes],
    }  # fmt: skip


# --------------------------------------------------------------------------------- what is seen


def shown_texts(figure: Figure) -> list[Text]:
    """All texts of a figure that are drawn: an axis has labels for ticks outside it too."""
    figure.draw_without_rendering()
    drawn = []
    ticks: set[int] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            ticks |= {id(label) for label in axis.get_ticklabels(which="both")}
            drawn += _tick_labels(axis)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if id(text) not in ticks and text.get_visible() and text.get_text().strip():
            drawn.append(text)
    return drawn


def _tick_labels(axis: Axis) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    return [
        label for tick in axis.get_major_ticks() + axis.get_minor_ticks()
        for label in (tick.label1, tick.label2)
        if low <= tick.get_loc() <= high and label.get_visible() and label.get_text()
    ]  # fmt: skip


def check(figure: Figure) -> None:
    """No text lies outside the canvas or over other text."""
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown_texts(figure)]
    width, height = figure.bbox.size
    for text, box in boxes:
        assert box.x0 >= -0.5, text
        assert box.y0 >= -0.5, text
        assert box.x1 <= width + 0.5, text
        assert box.y1 <= height + 0.5, text
    for (one, box), (other, second) in itertools.combinations(boxes, 2):
        across = min(box.x1, second.x1) - max(box.x0, second.x0)
        along = min(box.y1, second.y1) - max(box.y0, second.y0)
        assert min(across, along) <= 1, f"{one!r} over {other!r}"  # less than a pixel of 50 an inch


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize(
    ("more", "end", "words"),
    [
        ({}, 40, "error, % of samples"),
        ({}, 1, "error, % of samples (log scale)"),
        ({}, 0, "(log scale, linear below 0.1)"),
        ({"seeds": 1}, 1, ""),
        ({"seeds": 1, "gone": 1}, 1, "there is nothing to draw:\nthe seed diverged in epoch 7"),
        ({"gone": 5}, 1, "median and quartiles of 15 seeds; 5 of 20 diverged"),
        ({"gone": 20}, 1, "all 20 seeds diverged, the first in epoch 7"),
        ({"epochs": 1}, 1, ""),
        ({"name": "n" * 64}, 1, "…"),
    ],
    ids=str,
)
def test_curves_of_errors(modes: int, more: dict[str, Any], end: float, words: str) -> None:
    content = results(modes=modes, **more)
    figure = curves.error_curves(typed(content), lines(content, end))
    check(figure)
    assert any(words in text.get_text() for text in shown_texts(figure))
    assert ("log" in figure.axes[0].get_yscale()) == (end < 10 and more.get("gone") not in (1, 20))


def test_one_evaluation_is_a_point() -> None:
    content = results(modes=1, arms=1)
    figure = curves.error_curves(typed(content), lines(content, 40, evaluations=1))
    check(figure)
    assert {str(line.get_marker()) for line in figure.axes[0].lines} == {"v", "^"}


@pytest.mark.parametrize("epochs", [300, 3000, 100_000])
@pytest.mark.parametrize(
    ("trained", "tested", "logarithmic"),
    [(0.01, 0.02, False), (0.01, 0.09, False), (0.01, 0.5, True), (0.5, 0.01, False)],
)
def test_epochs_are_logarithmic_where_the_test_error_falls_late(
    epochs: int, trained: float, tested: float, logarithmic: bool
) -> None:
    """`trained` and `tested`: the parts of all epochs after which these errors are 0."""
    content = results(modes=1, arms=1, seeds=3, epochs=epochs)
    made = [
        json.dumps({"mode": "full-batch", "arm": "minifw", "epoch": epoch,
                    "train_error": [90 * (epoch < trained * epochs)] * 3,
                    "test_error": [95 * (epoch < tested * epochs)] * 3})
        for epoch in range(0, epochs + 1, epochs // 300)
    ]  # fmt: skip
    figure = curves.error_curves(typed(content), made)
    check(figure)
    (axis,) = figure.axes
    assert ("log" in axis.get_xscale()) == logarithmic
    assert axis.get_xlim() == (0, epochs)
    first = epochs // 300
    label = f"epoch (log scale, linear below {first})" if logarithmic else "epoch"
    assert axis.get_xlabel() == label


def test_seeds_that_diverged_are_in_no_curve() -> None:
    content = results(seeds=3, modes=1, arms=1)
    content["modes"]["full-batch"]["minifw"] = {"diverged_epoch": [None, 5, None]}
    line = {"mode": "full-batch", "arm": "minifw", "epoch": 0, "train_error": [10, 90, 20], "test_error": [30, 99, 50]}  # fmt: skip
    last = line | {"epoch": 10, "train_error": [8, None, 18], "test_error": [20, None, 40]}
    figure = curves.error_curves(typed(content), [json.dumps(line), json.dumps(last)])
    shown = {
        str(curve.get_label()): np.asarray(curve.get_ydata()).tolist()
        for curve in figure.axes[0].lines
    }
    assert shown == {"minifw, training": [15, 13], "minifw, test": [40, 30]}


@pytest.mark.parametrize("modes", [1, 2])
@pytest.mark.parametrize(
    ("more", "scale", "shift"),
    [
        ({}, 1, 0), ({"classes": 4}, 1, 0), ({"classes": 10}, 1, 0), ({"classes": 100}, 1, 0),
        ({"names": ("a", LONG, LONG + "!", "b" * 300)}, 1e-7, 0), ({"names": HOSTILE}, 30, 1e6),
        ({"names": ("W" * 80, "M" * 80)}, 1e9, 0), ({"names": ("Ɐ" * 9, "漢字" * 40)}, 3, -1e12),
    ],
    ids=lambda value: ascii(value)[:40],
)  # fmt: skip
def test_regions(modes: int, more: dict[str, Any], scale: float, shift: float) -> None:
    content = results(modes=modes, **more)
    figure = regions.decision_regions(typed(content), plane(content, scale=scale, shift=shift))
    check(figure)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert all(
        label.endswith({1e9: " (×1e9)", 1e-7: " (×1e−7)"}.get(scale, "")) for label in labels
    )
    assert not any(axes.xaxis.offsetText.get_visible() for axes in figure.axes)
    inside = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert inside, "no region is named"
    assert {*inside} <= {lettering.short(name, 18) for name in content["data"]["class_balance"]}


def test_a_true_border_is_drawn_where_the_plane_has_it() -> None:
    """A circle of radius 1e7 drawn whole is so many dashes that a run seems to hang."""
    content = results()
    for disk, drawn in (
        ((0.5, 0.5, 0.4), True),
        ((0.5, 1e7, 1e7), True),
        ((0.5, 0.5, 1e20), False),
    ):
        with np.load(io.BytesIO(plane(content))) as arrays:
            changed = {name: arrays[name] for name in arrays.files}
        file = io.BytesIO()
        np.savez(file, **changed | {"disk": np.array(disk)})
        axes = regions.decision_regions(typed(content), file.getvalue()).axes[0]
        dashed = [
            c for c in axes.collections if np.asarray(c.get_edgecolor()).tolist()[:1] == [TRUE]
        ]
        points = [path.vertices for c in dashed for path in c.get_paths() if len(path)]
        assert bool(points) == drawn
        for vertices in map(np.asarray, points):
            assert len(vertices) < 1000
            distance = np.hypot(*(vertices - disk[:2]).T)
            np.testing.assert_allclose(distance, disk[2], atol=1e-3)


def test_regions_of_no_network() -> None:
    figure = regions.decision_regions(typed(results(gone=20)), plane({**results(), "modes": {}}))
    check(figure)
    assert "all seeds diverged" in figure.texts[0].get_text()


def test_growth() -> None:
    check(curves.scaling(growth()))


# ------------------------------------------------------------------------------ what it means


def content_of(scores: Any) -> dict[str, Any]:
    """What a mode's part of decision.npz says of these scores, `(y, x, classes)`, without them."""
    scores = np.asarray(scores, dtype=float)
    axis = np.arange(float(len(scores)))
    return {"x": axis, "y": axis, "decision": scores.argmax(-1), "scores": scores}


def borders(content: dict[str, Any]) -> list[Any]:
    """All points of the lines between regions."""
    axes = Figure().subplots()
    regions.paint(axes, content)
    return [
        point for drawn in axes.findobj(ContourSet) if not drawn.filled
        for path in drawn.get_paths() for point in np.asarray(path.vertices)
    ]  # fmt: skip


def test_a_border_lies_where_scores_are_equal_and_not_on_the_grid() -> None:
    x = np.tile(np.arange(11.0), (11, 1))
    found = np.array(borders(content_of(np.stack([3.3 - x, x - 3.3], -1))))
    np.testing.assert_allclose(found[:, 0], 3.3)
    assert found[:, 1].min() == 0
    assert found[:, 1].max() == 10


def test_each_border_is_drawn_once() -> None:
    """Classes 0, 2 and 1 from left to right: two borders, though 1 lies between 0 and 2."""
    x = np.tile(np.arange(11.0), (11, 1))
    scores = np.stack([2.5 - x, -4 + 0 * x + 3 * (x - 7.5), 0 * x], -1)
    places = sorted(np.array(borders(content_of(scores)))[:, 0].round(3))
    assert {*places} == {2.5, 8.833}
    assert places.count(2.5) == places.count(8.833) == 11


def test_best_and_second_are_enough_for_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    outputs = torch.from_numpy(rng.random((outcomes.GRID**2, 7)))
    whole = outcomes.decided_plane(outputs)
    monkeypatch.setattr(outcomes, "SCORED", 6)
    kept = outcomes.decided_plane(outputs)
    assert {*whole} == {"decision", "scores"}
    assert {*kept} == {"decision", "second", "margin"}
    again = planes.scores_over_plane(kept)
    order = np.sort(whole["scores"], -1)
    np.testing.assert_array_equal(again.argmax(-1), whole["decision"])
    margin = order[..., -1] - order[..., -2]
    np.testing.assert_allclose(np.sort(again, -1)[..., -1], margin, atol=1e-6)
    np.testing.assert_array_equal(np.argsort(again, -1)[..., -2], np.argsort(whole["scores"], -1)[..., -2])  # fmt: skip


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros((5, 5, 3)), np.full((5, 5, 2), np.nan), np.full((5, 5, 2), np.inf),
        np.stack([np.full((5, 5), 3e38), np.full((5, 5), -3e38)], -1), np.eye(5)[..., None] * [1e-300, 0],
    ],
    ids=["equal", "NaN", "infinite", "huge", "tiny"],
)  # fmt: skip
def test_scores_of_any_kind_are_painted(scores: Any) -> None:
    borders(content_of(scores))


def test_wrong_answers_are_marked(minifw: Minifw) -> None:
    answer = minifw(
        "train", "simplenet", *SMALL, "--set", "train.epochs=20", "--seeds", 3, "--json"
    )
    run = runs.load(Path(answer.json["run_dir"]))
    with np.load(io.BytesIO(run.read("decision.npz"))) as arrays:
        content = {name.partition("/")[2]: arrays[name] for name in arrays.files}
    wrong = (content["answers"] != content["labels"]).mean()
    assert 100 * wrong == pytest.approx(float(content["error"]))
    assert 0 < wrong < 1
    assert content["scores"].dtype == np.float32
    np.testing.assert_array_equal(content["scores"].argmax(-1), content["decision"])
    figure = regions.decision_regions(run.results(), run.read("decision.npz"))
    marked = sum(
        np.size(line.get_xdata()) for line in figure.axes[0].lines
        if line.get_markersize() == regions.WRONG["markersize"]
    )  # fmt: skip
    assert marked == int((content["answers"] != content["labels"]).sum())


# ------------------------------------------------------------------------------ an extra only


def test_a_figure_that_cannot_be_drawn_loses_no_run(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("font \x1b[31m\nhas a hole")

    monkeypatch.setattr(regions, "decision_regions", broken)
    answer = minifw("train", "simplenet", *SMALL, "--set", "train.epochs=2", "--quiet")
    (path,) = Path("runs").iterdir()
    assert answer.code == 0
    assert answer.err == (
        f"minifw: {path}/plots/decision: this figure is left out: RuntimeError: font \\x1b[31m\n"
    )
    run = runs.load(path)
    assert run.status() == "complete"
    drawn = {name for name in run.known if "plots" in name}
    assert drawn == {f"plots/{n}.{e}" for n in ("errors", "confusion") for e in ("svg", "png")}
    monkeypatch.setattr(canvas, "_matplotlib", broken)
    assert minifw("train", "simplenet", *SMALL, "--set", "train.epochs=2", "--quiet").code == 0


PICTURE = """
from pathlib import Path
from minifw.report import plots
from minifw.runs.directory import Files

def draw():
    from matplotlib.figure import Figure
    figure = Figure()
    figure.subplots().plot([1, 2], label="$x$")
    figure.legend()
    return figure

print(plots.write_figure(Files(Path("there")), "picture", draw))
"""


def test_figures_begin_from_the_defaults_of_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(PICTURE, {})
    assert capfd.readouterr().out == "True\n"
    svg = tmp_path / "there/picture.svg"
    plain = svg.read_bytes()
    # matplotlib looks for a matplotlibrc in the current folder first of all.
    for rc, backend in (
        (b"text.usetex: True\nfont.family: No Such Font\nlines.linewidth: 9\n", "agg"),
        (b"no colon here\nbackend: \xff\xfe\n", "no-such-backend"),
    ):
        svg.unlink()
        (tmp_path / "matplotlibrc").write_bytes(rc)
        fresh = {"MPLCONFIGDIR": matplotlib.get_cachedir(), "MPLBACKEND": backend}
        done = subprocess.run(
            [sys.executable, "-c", PICTURE], cwd=tmp_path, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src"), **fresh},
        )  # fmt: skip
        assert (done.stdout, done.stderr) == ("True\n", "")
        assert svg.read_bytes() == plain


def test_without_matplotlib_there_is_a_message(
    minifw: Minifw, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Any:
        raise ModuleNotFoundError("No module named 'matplotlib'")

    monkeypatch.setattr(canvas, "_matplotlib", missing)
    answer = minifw("train", "simplenet", *SMALL, "--set", "train.epochs=2", "--quiet")
    assert answer.code == 0
    assert answer.err.count("this figure is left out: ModuleNotFoundError: No module") == 3


# ------------------------------------------------------------------------- a process of its own


@pytest.fixture
def a_run(minifw: Minifw) -> Run:
    """A run whose figures were drawn in this process."""
    answer = minifw("train", "simplenet", *SMALL, "--seeds", 2, "--set", "train.epochs=2", "--json")
    return runs.load(Path(answer.json["run_dir"]))


def figures(run: Run) -> dict[str, bytes]:
    return {name: run.read(name) for name in sorted(run.known) if name.startswith("plots/")}


def test_figures_of_another_process_are_the_same(a_run: Run) -> None:
    before = figures(a_run)
    assert len(before) == 6
    for name in before:
        del a_run.known[name]
    artist = Artist()
    artist.write_plots(a_run)
    assert figures(a_run) == before
    assert artist.process.returncode == 0


def test_figures_are_drawn_here_if_the_other_process_has_ended(a_run: Run) -> None:
    before = figures(a_run)
    for name in before:
        del a_run.known[name]
    artist = Artist()
    artist.process.kill()
    artist.process.wait()
    artist.write_plots(a_run)
    assert figures(a_run) == before


def test_a_figure_that_the_other_process_cannot_draw_is_left_out(
    a_run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    a_run.write("metrics.jsonl", "{}\n")
    Artist().write_plots(a_run)
    assert "plots/errors: this figure is left out: KeyError: 'mode'\n" in capfd.readouterr().err


def test_the_other_process_ends_with_this_one() -> None:
    with Artist().process as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_an_interrupt_does_not_wait_for_the_other_process(
    a_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pickle, "load", interrupted)
    artist = Artist.__new__(Artist)
    artist.process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        artist.write_plots(a_run)
    assert artist.process.returncode == -signal.SIGTERM


def test_the_other_process_does_not_wait_for_ever() -> None:
    code = (
        "import signal; from minifw.report import process;"
        "signal.alarm = lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds / 60);"
        "process.main()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as waiting:
        assert waiting.wait(timeout=60) == 1
