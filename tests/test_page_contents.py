"""What stands in a page: sentences against NumPy's numbers, charts against the run's results."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from conftest import SMALL
from minifw import runs
from minifw.charts import Band, Cells, Chart, Dots, Line, Span, legend
from minifw.charts.svg import inline
from minifw.cli import main
from minifw.config import loading
from minifw.config.packaged import find_config
from minifw.experiment.replay import replay
from minifw.page import (
    comparison,
    curves,
    findings,
    methods,
    outlines,
    regions,
    shared,
    spread,
    sweep,
)
from minifw.page.arms import Side
from minifw.page.document import (
    Document,
    Facts,
    Grid,
    Listing,
    Paragraph,
    Picture,
    Piece,
    Quote,
    Section,
    Slides,
)
from minifw.page.html import html
from minifw.page.many import document_of_runs
from minifw.page.run import document_of
from minifw.page.series import Series
from minifw.report import planes, sweeps, words
from minifw.report import spread as of_variance
from minifw.report.variance import Report
from minifw.runs import Run
from minifw.runs.studies import results_of
from minifw.statistics.measure import ERROR, Measure
from minifw.statistics.overlap import Overlap

QUICK = (*SMALL, "--set", "train.epochs=6", "--set", "train.eval_every=2")
SINE = """
name: waves
data: {kind: sine, train: 40, test: 30, unit: mm}
network: [{linear: 8}, tanh, {linear: 1}]
loss: mse
train: {eta: 0.1, epochs: 6, eval_every: 2}
"""
SMOOTH = """
name: smooth
data: {kind: disk, train: 40, test: 30}
network: [{linear: 8}, tanh, {linear: 2}]
loss: {kind: cross-entropy, label_smoothing: 0.1}
train: {eta: 0.1, epochs: 6}
"""
GAPS = """
name: gaps
data: {kind: csv, path: gaps.csv, missing: median, split: stratified}
network: [{linear: 2}]
loss: cross-entropy
train: {eta: 0.1, epochs: 2}
"""
WORDS: Mapping[str, Sequence[str]] = {
    "train": ("train", "simplenet-sgd", "--seeds", "5", *QUICK, "--set", "train.eta=0.2"),
    "one": ("train", "simplenet", "--seeds", "1", *QUICK),
    "compare": ("compare", "simplenet", "--seeds", "3", "--reference", "vmap", *QUICK),
    "sweep": (
        "sweep", "simplenet-sgd", "--over", "train.eta=0.01,0.1,1e6", "--over",
        "train.batch_size=5,15", "--seeds", "3", "--set", "data.validation=10", *QUICK,
    ),
    "line": ("sweep", "simplenet-sgd", "--over", "train.eta=0.01,0.1", "--seeds", "3", *QUICK),
    "comparison": ("compare", "simplenet-sgd", "cross-entropy", "--seeds", "4", *QUICK),
    "variance": (
        "variance", "simplenet-sgd", "--data", "3", "--init", "2", "--order", "2", *QUICK,
    ),
    "diverged": ("train", "simplenet", "--seeds", "3", "--set", "train.eta=1e6", *QUICK),
    "regression": ("train", "waves.yaml", "--seeds", "4"),
    "gaps": ("train", "gaps.yaml", "--seeds", "2"),
    "folds": (
        "train", "iris", "--set", "data.folds=3", "--seeds", "3", "--set", "train.epochs=4",
    ),
    "stopping": (
        "train", "cross-entropy", "--seeds", "3", "--set", "data.validation=10", "--set",
        "train.early_stopping.patience=1", "--set", "train.early_stopping.monitor=error", *QUICK, "--set", "train.epochs=40",
    ),
    "heads": (
        "train", "two-heads", "--seeds", "2", "--set", "train.epochs=2", "--set", "data.train=60",
        "--set", "data.test=40",
    ),
}  # fmt: skip

Make = Callable[[str], Run]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Make a run of one kind, once: `made("sweep")`."""
    folder, found = tmp_path_factory.mktemp("pages"), dict[str, Run]()

    def make(kind: str) -> Run:
        if kind not in found:
            threads = torch.get_num_threads()
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                Path("waves.yaml").write_text(SINE)
                Path("gaps.yaml").write_text(GAPS)
                rows = ["x,y,c", "?,1,b", *(f"{n},{n % 2},{'ab'[n % 2]}" for n in range(39))]
                Path("gaps.csv").write_text("\n".join(rows))
                patch.setattr(main, "leave_process", sys.exit)
                options = ("--runs-dir", kind, "--quiet")
                patch.setattr(sys, "argv", ["minifw", *WORDS[kind], *options])
                with pytest.raises(SystemExit) as end:
                    main.main()
            torch.set_num_threads(threads)
            assert end.value.code == (3 if kind == "diverged" else 0)
            (path,) = runs.folders(folder / kind)
            found[kind] = runs.load(path)
        return found[kind]

    return make


def pieces(document: Document) -> list[Piece]:
    return [piece for section in document.sections for piece in section.pieces]


def charts(document: Document) -> dict[str, Chart]:
    return {p.chart.name: p.chart for p in pieces(document) if isinstance(p, Picture)}


def quote(document: Document, title: str) -> str:
    (text,) = (p.text for p in pieces(document) if isinstance(p, Quote) and p.title == title)
    return text


def results(run: Run, mode: str = "sgd", arm: str = "minifw") -> dict[str, Any]:
    of_arm: dict[str, Any] = run.read_json("results.json")["modes"][mode][arm]
    return of_arm


# ------------------------------------------------------------------------------- whole documents


@pytest.mark.parametrize("kind", WORDS)
def test_each_kind_of_run_is_a_document(made: Make, kind: str) -> None:
    """All parts are there, in their order, and all texts are sentences."""
    run = made(kind)
    document = document_of(run)
    names = [section.identifier for section in document.sections]
    network = ["network"] if run.manifest.kind == "train" else []
    assert names == ["summary", "tables", "charts", *network, "config", "environment", "files"]
    assert document.title
    assert document.lead
    texts = [quote(document, "Methods"), quote(document, "Result"), *document.lead]
    for chart in (*charts(document).values(), *(c for s in slides(document) for c in s.charts)):
        texts += [chart.caption, chart.description]
        lengths = {len(column) for column in chart.data.values()}
        assert len(lengths) == 1, chart.name
        assert len({len(column) for column in (chart.shown or chart.data).values()}) == 1
    for text in texts:
        assert text == text.strip(), text
        assert text.endswith("."), text
        for wrong in ("..", "  ", " ,", "None", "nan", "inf ", " .", ";.", "1 seeds", "()", "( "):
            assert wrong not in text, text
    html(document)  # and it can be drawn
    # Everything is in the run's own files: read again from its folder, it is the same.
    assert html(document_of(runs.load(run.path))) == html(document)


def slides(document: Document) -> list[Slides]:
    return [piece for piece in pieces(document) if isinstance(piece, Slides)]


def test_tables_are_those_of_the_run(made: Make) -> None:
    for kind, names in (
        ("train", ["table2", "table3", "table4"]),
        ("compare", ["table1", "table2", "table3", "table4"]),
        ("sweep", ["cells", "summaries"]),
        ("comparison", ["arms", "pairs"]),
        ("variance", ["shares", "seeds"]),
    ):
        run = made(kind)
        tables = next(s for s in document_of(run).sections if s.identifier == "tables")
        grids = [piece for piece in tables.pieces if isinstance(piece, Grid)]
        assert [grid.name for grid in grids] == names
        for grid in grids:
            assert grid.table.csv() == run.read_text(f"tables/{grid.name}.csv"), grid.name


# -------------------------------------------------------------------------------------- sentences


def test_methods_say_what_was_done(made: Make) -> None:
    said = quote(document_of(made("train")), "Methods")
    for part in (
        "layers of sizes 2-25-25-25-2 (ReLU) and PyTorch's default initialisation",
        "the mean squared error, summed over the outputs, averaged over the samples.",
        "There were 40 training and 30 test samples of the disk data (2 features, 2 classes)",
        "gradient descent in batches of 15, with a learning rate of 0.2, for 6 epochs.",
        "with 5 seeds (seeds 0 to 4), each with its own samples, initial weights and order",
        "95 % bootstrap intervals of the median over the seeds (BCa, 9,999 resamples)",
        f"float32 with minifw {made('train').manifest.versions['minifw']}, PyTorch ",
    ):
        assert part in said
    assert "sign-flip" not in said
    assert "validation" not in said


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("one", "This was done once, with seed 0. All numbers"),
        ("compare", "PyTorch vmap trained the same networks from the same initial weights"),
        ("compare", "in full batch and in batches of 15"),
        ("compare", "a two-sided sign-flip test"),
        ("diverged", "each with its own samples and initial weights. All numbers"),
        ("regression", "(1 feature; target: "),
        ("regression", "gradient descent in full batch, with a learning rate of 0.1, for 6 epochs"),
        ("folds", "3 seeds (seeds 0 to 2): 3-fold cross-validation, 1 division."),
        ("folds", "of the mean, Student's with the variance corrected for training sets that"),
        ("stopping", "30 training, 10 validation and 30 test samples"),
        ("stopping", "at most 40 epochs; each network stopped after 1 evaluation without a lower"),
        ("heads", "the sum of the losses of its heads (cross-entropy mean + 0.1 mse mean)"),
        ("sweep", "the sweep tried train.eta (0.01, 0.1, 1000000.0) and train.batch_size (5, 15)"),
        ("line", "validation error (on further samples, as many as for the test), and reported"),
        ("comparison", "2 configurations were compared: simplenet-sgd and cross-entropy."),
        (
            "variance",
            "3 seeds of the data, 2 seeds of the initial weights and 2 seeds of the order",
        ),
        ("variance", "generalised confidence intervals (Weerahandi 1993"),
    ],
)
def test_methods_of_other_runs(made: Make, kind: str, part: str) -> None:
    assert part in quote(document_of(made(kind)), "Methods")


def test_methods_name_what_changes_the_loss(tmp_path: Path) -> None:
    file = tmp_path / "smooth.yaml"
    file.write_text(SMOOTH)
    said = methods.of_config("", loading.load(file), layers=True)
    assert "minimise the cross-entropy with label smoothing 0.1" in said[0]


def test_captions_say_how_many_and_how_intervals_were_made(made: Make) -> None:
    for kind, how in (
        ("comparison", "bootstrap"),
        ("compare", "bootstrap"),
        ("sweep", "bootstrap"),
    ):
        document = document_of(made(kind))
        for chart in charts(document).values():
            assert re.search(r"\d seeds?\b", chart.caption), chart.name
            if any(isinstance(mark, Span) for panel in chart.panels for mark in panel.marks):
                assert how in chart.caption, chart.name
        for grid in (piece for piece in pieces(document) if isinstance(piece, Grid)):
            if kind == "comparison":
                assert "Intervals: 95 %, bootstrap" in grid.table.caption


def test_methods_of_a_study_have_the_division_the_schedule_and_early_stopping() -> None:
    """They are read off the config, and leave out nothing that those of a run say."""
    keys = ("data.split=stratified", "data.validation=0.2", "data.label_noise=0.1",
            "train.schedule=cosine", "train.early_stopping.patience=5")  # fmt: skip
    said = " ".join(methods.of_config("", loading.load(find_config("iris"), keys), layers=True))
    for part in (
        "the samples were those of scikit-learn's iris data, of which 80 % were drawn for "
        "training, stratified by class, and the others for testing",
        "20 % of the training samples were kept for validation",
        "on purpose, the training samples were altered: ",
        "(schedule: cosine), for at most ",
        "; each network stopped after 5 evaluations without a lower validation loss, and kept",
    ):
        assert part in said


def test_methods_have_what_was_done_to_gaps(made: Make) -> None:
    done = (
        ", stratified by class; missing values were filled with the median of the training "
        "samples; features were normalised per feature by the training samples."
    )
    said = quote(document_of(made("gaps")), "Methods")
    assert f" samples of the data in gaps.csv (2 features, 2 classes){done}" in said
    said = " ".join(
        map(words.sentence, methods.of_config("", shared.config_of(made("gaps")), True))
    )
    divided = "of which 80 % were drawn for training, stratified by class, and the others for"
    assert f"those of the data in gaps.csv, {divided} testing{done[21:]}" in said


def test_what_all_configs_share_is_said_once(made: Make) -> None:
    said = quote(document_of(made("comparison")), "Methods")
    names = ("simplenet-sgd: networks with layers of sizes ", "cross-entropy: networks with ")
    for part in (*names, "the disk data", "the moons data"):
        assert said.count(part) == 1
    told = {"a": ["one", "two", "three"], "b": ["one", "another", "three"]}
    assert comparison.together(told) == ["In both, one.", "Three.", "a: two.", "b: another."]
    told |= {"c": ["one"]}
    assert comparison.together(told) == [
        "In all, one.",
        "a: two.",
        "Three.",
        "b: another.",
        "Three.",
    ]


def test_the_result_is_the_median_with_its_interval(made: Make) -> None:
    errors = np.sort(results(made("train"))["test_error"])
    found = scipy.stats.bootstrap(
        (errors,), np.median, method="BCa", n_resamples=9999, random_state=np.random.default_rng(0)
    ).confidence_interval
    assert quote(document_of(made("train")), "Result").startswith(
        f"The median test error was {np.median(errors):.2f} % (95 % interval {found.low:.2f} to "
        f"{found.high:.2f} %, 5 seeds)."
    )


def test_the_result_of_one_seed_and_of_none(made: Make) -> None:
    (error,) = results(made("one"), "full-batch")["test_error"]
    said = quote(document_of(made("one")), "Result")
    assert said.startswith(f"The test error was {error:.2f} % (1 seed).")
    said = quote(document_of(made("diverged")), "Result")
    assert said.startswith("All 3 seeds diverged, so there is no test error.")


def test_the_result_of_a_comparison_with_pytorch(made: Make) -> None:
    run = made("compare")
    said = quote(document_of(run), "Result")
    for mode, way in (("full-batch", "In full batch"), ("sgd", "In batches")):
        ours, theirs = (
            np.median(results(run, mode, arm)["test_error"]) for arm in ("minifw", "vmap")
        )
        assert f"{way}, the median test error of minifw was {ours:.2f} % (" in said
        assert f"; the median test error of PyTorch vmap was {theirs:.2f} % (" in said
    for pair in run.results().pairs.values():  # type: ignore[union-attr]
        assert pair.sentence in said


def test_the_result_of_a_regression_has_its_unit(made: Make) -> None:
    found = results(made("regression"), "full-batch")
    said = quote(document_of(made("regression")), "Result")
    median = Measure(("y",), "mm").figure(float(np.median(found["test_error"])))
    assert said.startswith(f"The median test RMSE was {median} (95 % interval ")
    assert "mm" in median
    r2 = f"{np.median(found['r2']):.3f}".replace("-", "−")
    assert said.endswith(f"; the median R² was {r2}.")


def test_the_result_of_folds_is_a_mean(made: Make) -> None:
    errors = np.array(results(made("folds"), "full-batch")["test_error"])
    half = scipy.stats.t.ppf(0.975, 2) * errors.std(ddof=1) * np.sqrt(1 / 3 + 50 / 100)
    mean = errors.mean()
    assert quote(document_of(made("folds")), "Result").startswith(
        f"The mean test error was {mean:.2f} % (95 % interval {max(0, mean - half):.2f} to "
        f"{mean + half:.2f} %, 3 seeds)."
    )


def test_the_result_of_a_sweep_is_its_best_cell_with_a_caution(made: Make) -> None:
    run = made("sweep")
    cells = run.read_json("cells.json")["cells"]
    gone = [cell["name"] for cell in cells if all(e is None for e in cell["test_error"])]
    left = [cell for cell in cells if cell["name"] not in gone]
    assert 0 < len(gone) < len(cells)
    best = min(left, key=lambda cell: float(np.median(cell["validation_error"])))
    smallest = min(left, key=lambda cell: float(np.median(cell["test_error"])))
    said = quote(document_of(run), "Result")
    median = np.median(best["test_error"])
    assert f"{best['name']}, by its median validation error of " in said
    assert f"Its median test error is {median:.2f} % (95 % interval " in said
    assert f"goes from {np.median(smallest['test_error']):.2f} % ({smallest['name']}) to" in said
    assert "smaller by chance too" in said
    assert f"Of 18 networks 6 diverged, all of {len(gone)} cells among them." in said
    report = sweeps.Report.of(results_of(run))
    unranked = report.outcome.model_copy(update={"best": None})
    said = " ".join(sweep.result(sweeps.Report(report.results, unranked)))
    assert said.startswith("No cell is the best, since there are no samples for validation.")


def test_the_result_of_a_study_of_variance_has_the_shares(made: Make) -> None:
    outcome = made("variance").read_json("cells.json")["outcome"]
    said = quote(document_of(made("variance")), "Result")
    assert f"The mean test error of 12 networks was {outcome['mean']:.2f} %" in said
    low, high = outcome["intervals"]["init"]
    share = f"{100 * outcome['shares']['init']:.0f} % to the initial weights"
    assert f"{share} (95 % interval {100 * low:.0f} to {100 * high:.0f} %)" in said


def side(errors: Sequence[float | None], **more: Any) -> Side:
    return Side("a", "", range(len(errors)), np.array(errors, np.float64), **more)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([0.0, 0.0, 0.0], "all 3 seeds had the same test error, 0.00 %"),
        ([0.0, 0.0], "both seeds had the same test error, 0.00 %"),
        ([2.5], "the test error was 2.50 % (1 seed)"),
        ([None], "seed 0 diverged, so there is no test error"),
        ([None] * 1000, "all 1,000 seeds diverged, so there is no test error"),
        (
            [2.0, None],
            "the test error was 2.00 % (1 of 2 seeds; seed 1 diverged and is left out)",
        ),
        (
            [2.0, None, 2.0, None],
            "both seeds had the same test error, 2.00 % (2 of 4 seeds; seeds 1 and 3 diverged and "
            "are left out)",
        ),
    ],
)
def test_errors_in_words(errors: list[float | None], said: str) -> None:
    assert findings.figures(side(errors), ERROR) == said


def test_the_middle_is_the_median_and_not_the_mean() -> None:
    said = findings.figures(side([0.0, 1.0, 2.0, 3.0, 50.0]), ERROR)
    assert said.startswith("the median test error was 2.00 % (95 % interval ")


def test_seeds_that_diverged_are_named_or_counted() -> None:
    errors = [None if k % 2 else float(k) for k in range(30)]
    said = findings.figures(side(errors), ERROR)
    assert "15 of 30 seeds; seeds 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 5 others diverged" in said
    assert f"median test error was {np.median(np.arange(0, 30, 2)):.2f} %" in said
    overlap = Overlap(0.5, 30)
    assert "the mean test error was 14.00 %" in findings.figures(
        side(errors, overlap=overlap), ERROR
    )


def test_words() -> None:
    assert words.listed([]) == ""
    assert words.listed(["a"]) == "a"
    assert words.listed(["a", "b", "c"]) == "a, b and c"
    assert words.seed_range([0, 1]) == "seeds 0 and 1"
    assert words.seed_range([3]) == "seed 3"
    assert words.seed_range([3, 4, 5]) == "seeds 3 to 5"
    assert words.seed_range([3, 4, 6]) == ("seeds 3, 4 and 6")
    assert words.moved(ERROR, 47.1, 3.55) == "falls from 47.10 % to 3.55 %"
    assert words.moved(ERROR, 3.001, 3.002) == "stays at 3.00 %"
    assert words.moved(ERROR, 3.0, 4.0) == "rises from 3.00 % to 4.00 %"
    assert words.sentence("minifw is quick", named=True) == "minifw is quick."


# ----------------------------------------------------------------------------------------- charts


def test_curves_are_the_measurements(made: Make) -> None:
    run = made("compare")
    lines = [json.loads(line) for line in run.read_text("metrics.jsonl").splitlines()]
    chart = charts(document_of(run))["curves"]
    rows = list(zip(chart.data["arm"], chart.data["of"], chart.data["epoch"], strict=True))
    for name, mode, arm in (
        ("Full batch, minifw", "full-batch", "minifw"), ("SGD, PyTorch vmap", "sgd", "vmap"),
    ):  # fmt: skip
        for line in (line for line in lines if (line["mode"], line["arm"]) == (mode, arm)):
            for kind, word in (("test_error", "test"), ("train_error", "training")):
                row = rows.index((name, word, line["epoch"]))
                of_seeds = [chart.data[f"seed {seed}"][row] for seed in range(3)]
                assert of_seeds == line[kind]
                quartiles = ("lower quartile", "median", "upper quartile")
                found = [chart.data[column][row] for column in quartiles]
                assert found == np.percentile(line[kind], [25, 50, 75]).tolist()
    for panel in chart.panels:
        quiet = [m for m in panel.marks if isinstance(m, Line) and m.quiet]
        assert [m.name for m in quiet] == [f"minifw, seed {seed}" for seed in range(3)]
        assert sum(isinstance(m, Dots) for m in panel.marks) == 2  # PyTorch's, test and training
    medians = {
        line["epoch"]: np.median(line["test_error"])
        for line in lines
        if (line["mode"], line["arm"]) == ("sgd", "minifw")
    }
    first, last = medians[0], medians[6]
    said = f"SGD, minifw: the median test error {words.moved(ERROR, first, last)}, "
    assert said in chart.description


def test_a_curves_band_and_line_are_one_entry_of_the_legend(made: Make) -> None:
    chart = charts(document_of(made("train")))["curves"]
    entries = {entry.name: {type(mark) for mark in entry.marks} for entry in legend.named(chart)}
    assert entries == {"minifw, training": {Band, Line}, "minifw, test": {Band, Line}}
    # Of several arms, bands of all errors would lie over each other.
    chart = charts(document_of(made("comparison")))["curves"]
    bands = [mark.name for mark in chart.panels[0].marks if isinstance(mark, Band)]
    assert len(bands) == 2
    assert all(name.endswith(", test") for name in bands)
    assert "(of training there is none)" in chart.caption


def test_a_logarithmic_axis_says_so() -> None:
    falling = np.geomspace(50, 1, 9)[:, None] * np.array([1.0, 1.1, 1.2])
    for errors, scale in ((falling, " (log scale)"), (falling + 50, "")):
        of = {"train_error": errors, "test_error": errors}
        arm = side(errors[-1].tolist(), series=Series(np.arange(9.0), of))
        (panel,) = curves.learning([arm], ERROR, 100).panels
        assert panel.y.label == ERROR.axis("") + scale
        assert (panel.y.scale == "log") == bool(scale)


def test_spread_has_each_seed(made: Make) -> None:
    run = made("train")
    errors = results(run)["test_error"]
    chart = charts(document_of(run))["spread"]
    assert chart.data == {"seed": [0, 1, 2, 3, 4], "SGD, minifw": errors}
    (panel,) = chart.panels
    dots = panel.marks[0]
    assert isinstance(dots, Dots)
    shown = dict(zip(dots.labels, np.asarray(dots.y).tolist(), strict=True))
    assert shown == {f"seed {k}": error for k, error in enumerate(errors)}
    (interval,) = (mark for mark in panel.marks if isinstance(mark, Span))
    summary = run.results().modes["sgd"]["minifw"].summary
    assert [interval.low[0], interval.high[0]] == summary.median_interval  # type: ignore[index]


def test_dots_are_beside_the_interval_and_farther_out_where_many_are_near() -> None:
    errors = np.array([*np.linspace(9, 10, 41), 30.0])
    found = spread.sideways(errors)
    assert (np.abs(found) >= spread.FREE).all()
    assert np.abs(found).max() > 0.9
    assert abs(found[-1]) < 0.2
    assert spread.sideways(np.array([5.0])).tolist() == [0.0]
    assert np.isfinite(spread.sideways(np.full(4, 2.0))).all()


def test_an_interval_is_within_its_panel_and_so_is_an_error_of_zero() -> None:
    arm = side([0.0, 3.0, 3.0, 13.0, 13.0])
    arm = replace(arm, overlap=Overlap(0.25, 5))
    (panel,) = spread.spread([arm], ERROR).panels
    (interval,) = (mark for mark in panel.marks if isinstance(mark, Span))
    assert panel.y.limits is not None
    low, high = panel.y.limits
    assert low < 0
    assert float(np.max(interval.high)) > 13
    assert high > float(np.max(interval.high))
    (panel,) = spread.spread([side([10.0, 20.0, 30.0])], ERROR).panels
    assert panel.y.limits is not None
    assert panel.y.limits[0] == 0


def test_one_seed_has_no_median() -> None:
    (panel,) = spread.spread([side([7.0])], ERROR).panels
    (dot,) = panel.marks
    assert isinstance(dot, Dots)
    assert (np.asarray(dot.x).tolist(), np.asarray(dot.y).tolist()) == ([0.0], [7.0])


def test_a_legend_names_what_dots_are_once_for_all_arms() -> None:
    sides = [replace(side([1.0, 2.0, 4.0]), name=name, color=n) for n, name in enumerate("abc")]
    entries = legend.named(spread.spread(sides, ERROR))
    assert [entry.name for entry in entries] == ["a seed", "95 % interval of the median", "median"]


def test_seeds_that_diverged_are_crosses_above_all_others() -> None:
    chart = spread.spread([side([1.0, None, 3.0])], ERROR)
    (cross,) = (m for m in chart.panels[0].marks if isinstance(m, Dots) and m.shape == "cross")
    assert cross.labels == ("seed 1, diverged",)
    assert np.min(cross.y) > 3
    assert chart.data["a"] == [1.0, None, 3.0]
    assert "crosses" in chart.caption.lower()


def test_pairs_are_drawn_seed_by_seed(made: Make) -> None:
    run = made("comparison")
    cells = run.read_json("cells.json")["cells"]
    first, second = (np.array(cell["test_error"]) for cell in cells)
    found = charts(document_of(run))
    assert found["paired"].data["difference"] == (first - second).tolist()
    dots = found["paired"].panels[0].marks[1]
    assert isinstance(dots, Dots)
    order = [int(label.split()[1]) for label in dots.labels]
    assert np.asarray(dots.x).tolist() == first[order].tolist()
    assert np.asarray(dots.y).tolist() == second[order].tolist()
    data = found["differences"].data
    assert data["difference"] == pytest.approx([(first - second).mean()])
    (pair,) = run.read_json("cells.json")["outcome"]["pairs"]
    assert (data["95 %, from"][0], data["95 %, to"][0]) == tuple(pair["interval"])


def test_confusion_counts_are_those_of_the_run(made: Make) -> None:
    run = made("folds")
    counts = np.array(results(run, "full-batch")["scores"]["confusion"])
    chart = charts(document_of(run))["confusion"]
    assert chart.data["samples"] == counts.ravel().tolist()
    cells = chart.panels[0].marks[0]
    assert isinstance(cells, Cells)
    assert np.allclose(cells.values, 100 * counts / counts.sum(1, keepdims=True))
    right = 100 * np.trace(counts) / counts.sum()
    assert chart.description.startswith(f"{right:.1f} % of the test samples are taken for their")


def test_calibration_counts_are_those_of_the_run(made: Make) -> None:
    run = made("folds")
    record = results(run, "full-batch")["scores"]["calibration"]
    chart = charts(document_of(run))["calibration"]
    assert chart.data["answers"] == record["count"]
    assert chart.data["right"] == record["right"]
    count, right = np.array(record["count"]), np.array(record["right"])
    some = count > 0
    means = np.array(record["confidence"], float)[some]
    off = 100 * ((count[some] * means).sum() - right.sum()) / count.sum()
    words = f"{abs(off):.1f} points {'more' if off > 0 else 'less'} than"
    assert words in chart.description


def test_predictions_and_residuals_are_those_of_the_run(made: Make) -> None:
    run = made("regression")
    with np.load(run.path / "predicted.npz") as arrays:
        true, found = arrays["full-batch/true"], arrays["full-batch/predicted"]
    drawn = charts(document_of(run))
    assert drawn["predicted"].data["true"] == true[:, 0].tolist()
    assert drawn["predicted"].data["predicted"] == found[:, 0].tolist()
    assert drawn["residuals"].data["predicted − true"] == (found - true)[:, 0].tolist()
    shown = drawn["residuals"].shown
    assert shown is not None
    assert abs(float(shown["predicted − true"][0])) == pytest.approx(  # type: ignore[arg-type]
        np.abs(found - true).max(), rel=1e-3
    )


def test_maps_have_all_cells(made: Make) -> None:
    run = made("sweep")
    cells = run.read_json("cells.json")["cells"]
    medians = [
        None if None in cell["test_error"] else float(np.median(cell["test_error"]))
        for cell in cells
    ]
    chart = charts(document_of(run))["cells"]
    assert chart.data["median"] == pytest.approx(medians)
    (panel,) = chart.panels
    heat = panel.marks[0]
    assert isinstance(heat, Cells)
    at = (panel.y.categories.index("5"), panel.x.categories.index("0.1"))
    if panel.x.label != "eta":
        at = (panel.y.categories.index("0.1"), panel.x.categories.index("5"))
    (cell,) = (c for c in cells if c["set"] == {"train.eta": 0.1, "train.batch_size": 5})
    assert np.asarray(heat.values)[at] == np.median(cell["test_error"])
    texts = [text for row in heat.texts for text in row]
    assert texts.count("×") == 2
    assert sum(text.startswith("★") for text in texts) == 1
    line = charts(document_of(made("line")))["cells"]
    assert any(isinstance(mark, Line) for mark in line.panels[0].marks)
    assert any(isinstance(mark, Band) for mark in line.panels[0].marks)


def test_shares_are_those_of_the_study(made: Make) -> None:
    run = made("variance")
    outcome = run.read_json("cells.json")["outcome"]
    drawn = charts(document_of(run))
    names = ("data", "init", "order", "interaction")
    assert drawn["shares"].data["share, %"] == [100 * outcome["shares"][name] for name in names]
    errors = np.array(run.read_json("cells.json")["cells"][0]["test_error"])
    data = drawn["networks"].data
    assert data["test error"] == errors.tolist()
    assert data["seed of the data"] == np.repeat([0, 1, 2], 4).tolist()
    assert data["seed of the order of batches"] == np.tile([0, 1], 6).tolist()


def test_the_figure_of_a_study_of_variance_has_both_charts(
    made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made("variance")
    report = Report.of(results_of(run), "cells.json")
    chart = of_variance.both(report)
    of_page = [charts(document_of(run))[name] for name in ("shares", "networks")]
    assert [panel.x for panel in chart.panels] == [part.panels[0].x for part in of_page]
    assert chart.caption == " ".join(part.caption for part in of_page)
    monkeypatch.setattr(Report, "errors", np.full_like(report.errors, np.nan))
    nothing = report.outcome.model_copy(update={"total_sd": None})
    chart = of_variance.both(Report(report.results, nothing))
    assert [panel.marks for panel in chart.panels] == [()]
    assert chart.caption == "All 12 networks diverged."
    assert "nothing to draw" in inline(chart, "a")


# ---------------------------------------------------------------------------------------- regions


def test_regions_go_through_training(made: Make) -> None:
    run = made("train")
    (slider,) = slides(document_of(run))
    assert slider.labels == ("epoch 0", "epoch 1", "epoch 2", "epoch 3", "epoch 4", "epoch 5",
                             "epoch 6")  # fmt: skip
    content = planes.of_mode(planes.read(run.read("decision.npz")), "sgd")
    last = slider.charts[-1]
    assert last.data["taken for"] == [str(answer) for answer in content["answers"]]
    # A seed that is trained again ends where it ended in the run, and began elsewhere.
    seed = int(content["seed"])
    final = regions._final(content)
    again = replay(run, seed, "sgd", [0, 6])
    frame = regions._frame(again, 1, final)
    assert np.array_equal(frame.answers, content["answers"])
    assert np.array_equal(frame.decision, final.decision)
    assert frame.error == pytest.approx(results(run)["test_error"][seed])
    first = regions._frame(again, 0, final)
    assert slider.charts[0].data["taken for"] == [str(answer) for answer in first.answers]
    assert last.data["taken for"] != slider.charts[0].data["taken for"]


def test_regions_end_where_the_seed_stopped(made: Make) -> None:
    run = made("stopping")
    (slider,) = slides(document_of(run))
    found, seeds = results(run), run.manifest.seeds
    seed = int(planes.of_mode(planes.read(run.read("decision.npz")), "sgd")["seed"])
    end, best = (found[key][seeds.index(seed)] for key in ("stopped_epoch", "best_epoch"))
    assert end is not None
    assert slider.labels[-1] == f"epoch {end}"
    words = (
        f"Seed {seed} ended in epoch {end}, with the weights of its best evaluation, after epoch"
    )
    assert f"{words} {best}." in slider.caption


def test_epochs_are_spaced_by_their_logarithms() -> None:
    assert regions.epochs_of(1000) == [0, 1, 3, 7, 19, 52, 139, 373, 1000]
    assert regions.epochs_of(2) == [0, 1, 2]
    assert regions.epochs_of(0) == [0]


def test_without_a_replay_the_last_regions_stand_alone(
    made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(regions, "PATIENCE", -1.0)
    document = document_of(made("train"))
    assert not slides(document)
    assert "regions" in charts(document)
    why = [piece.text for piece in pieces(document) if isinstance(piece, Paragraph)]
    assert any("There are no regions through training: training one seed again" in w for w in why)


def area(polygons: Sequence[Any]) -> float:
    """The area of polygons, by the shoelace formula: a hole that is gone around the other way."""
    total = 0.0
    for points in polygons:
        x, y = np.asarray(points).T
        total += abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum()) / 2)
    return total


def test_regions_are_polygons_with_holes() -> None:
    x = np.linspace(-1, 1, 51)
    radius = np.hypot(*np.meshgrid(x, x))
    disk = outlines.regions(x, x, 0.8 - radius)
    ring = outlines.regions(x, x, np.minimum(0.8 - radius, radius - 0.4))
    assert area(disk) == pytest.approx(np.pi * 0.64, rel=0.02)
    assert area(ring) == pytest.approx(np.pi * (0.64 - 0.16), rel=0.03)
    assert len(disk[0]) < 60  # of 160 points of the contour


def test_a_simpler_outline_is_near_the_true_one() -> None:
    angle = np.linspace(0, 2 * np.pi, 400)
    line = np.stack([angle, np.sin(angle)], 1)
    sides = np.array([2 * np.pi, 2.0])
    simple = outlines.simpler(line, sides)
    assert len(simple) < 40
    assert (simple[[0, -1]] == line[[0, -1]]).all()
    off = np.abs(np.interp(line[:, 0], *simple.T) - line[:, 1]) / 2
    # Upwards, not across: the sine rises by pi in units of the sides.
    assert off.max() <= np.hypot(1, np.pi) * outlines.TOLERANCE


def test_each_point_is_in_the_region_of_its_class() -> None:
    scores = np.random.default_rng(0).normal(size=(9, 9, 3))
    scores[0, 0] = 1.0  # equal: the decision says which
    decision = scores.argmax(-1)
    leads = np.stack([outlines.ahead(scores, decision, k) for k in range(3)], -1)
    assert ((leads > 0).sum(-1) == 1).all()
    assert (leads != 0).all()  # a border goes beside a point, not through it
    assert (leads.argmax(-1) == decision).all()


# ------------------------------------------------------------------------- size, config, the rest


def test_many_seeds_and_epochs_stay_small() -> None:
    rng = np.random.default_rng(0)
    errors = rng.uniform(1, 20, 1000)
    values = np.linspace(50, errors, 1001)
    series = Series(np.arange(1001.0), {"test_error": values, "train_error": values / 2})
    one = Side("minifw", "SGD", range(1000), errors, series=series)
    other = Side("PyTorch", "SGD", range(1000), errors, color=1, series=series, twin=True)
    learning = curves.learning([one, other], ERROR, 1000)
    over_seeds, paired = (
        spread.spread([one, other], ERROR), spread.paired([(one, other)], ERROR),
    )  # fmt: skip
    assert paired is not None
    assert "24 of the seeds" in learning.caption
    assert "60 of 1001 measured" in learning.caption
    assert "150 of the seeds" in over_seeds.caption
    assert "150 of 1,000 seeds" in paired.caption
    found = map(Picture, (learning, over_seeds, paired))
    shown = Document("a", (), (Section("b", "b", tuple(found)),))
    bare = len(html(Document("a", (), ())))
    assert len(html(shown)) - bare < 100_000
    assert len(learning.data["seed 999"]) == 2 * 2 * 1001  # all numbers are kept


def test_an_error_of_zero_has_a_place_on_a_logarithmic_axis() -> None:
    values = np.array([[50.0, 50.0], [1.0, 2.0], [0.0, 0.0]])
    series = Series(np.arange(3.0), {"test_error": values})
    chart = curves.learning([side([0.0, 0.0], series=series)], ERROR, 1000)
    assert chart.panels[0].y.scale == "log"
    (line,) = (m for m in chart.panels[0].marks if isinstance(m, Line) and not m.quiet)
    assert np.asarray(line.y).tolist() == [50.0, 1.5, 0.05]
    assert "An error of 0 is drawn at 0.05 of the logarithmic scale." in chart.caption
    assert chart.data["median"] == [50.0, 1.5, 0.0]


def test_what_differs_from_the_defaults_is_marked(made: Make) -> None:
    (listing, *_) = (p for p in pieces(document_of(made("train"))) if isinstance(p, Listing))
    lines = listing.text.splitlines()
    marked = {lines[number].strip() for number in listing.marked}
    assert {"epochs: 6", "eta: 0.2", "train: 40", "reduction: sample"} <= marked
    assert not {"momentum: 0.0", "checkpoint_every: 50", "seed: 0", "normalize: true"} & marked


def test_command_environment_and_files_are_those_of_the_run(made: Make) -> None:
    run = made("compare")
    found = pieces(document_of(run))
    texts = {piece.title: piece.text for piece in found if isinstance(piece, Listing)}
    file = f"{run.path.name}/config.yaml"
    threads = run.manifest.threads
    again = f"minifw compare {file} --reference vmap --threads {threads}"
    assert texts["This repeats it, from the folder that the run is in"] == again
    assert texts["The command that made it"].startswith("minifw compare simplenet --seeds 3")
    facts = {piece.title: dict(piece.pairs) for piece in found if isinstance(piece, Facts)}
    assert facts["SHA-256 of each file, as in manifest.json"] == run.manifest.files
    assert facts["Where it ran"]["torch"] == run.manifest.versions["torch"]


def test_several_runs_have_one_table_and_then_each(made: Make) -> None:
    some = [made(kind) for kind in ("train", "sweep", "variance", "comparison", "diverged")]
    document = document_of_runs(some)
    assert [s.identifier for s in document.sections][:3] == ["runs", "run1-summary", "run1-tables"]
    assert len({s.identifier for s in document.sections}) == 1 + 6 * len(some)
    table = document.sections[0].pieces[0]
    assert isinstance(table, Grid)
    rows = dict(table.table.rows)
    name = f"simplenet-sgd-{some[0].path.name.rpartition('-')[2]}"
    assert rows[name][3] == np.median(results(some[0])["test_error"])
    last = "simplenet"
    assert rows[last][:2] == [3, 3]
    assert rows[last][3] is None
    networks = next(cells for key, cells in rows.items() if key.endswith(": all networks"))
    assert networks[0] == 12
    assert networks[4] is None
    html(document)


def test_errors_in_different_units_are_not_drawn_together(made: Make) -> None:
    document = document_of_runs([made("one"), made("regression")])
    (grid,) = document.sections[0].pieces
    assert isinstance(grid, Grid)
    assert [str(cells[3])[-2:] for _, cells in grid.table.rows] == [" %", "mm"]
