"""What `train`, `compare` and `resume` print about a finished run."""

from __future__ import annotations

from typing import Any

from minifw.cli.options import print_json
from minifw.cli.terminal import print_table, print_wrapped
from minifw.errors import harmless, short_word
from minifw.experiment import Outcome, check_converged
from minifw.report.scores import sentence
from minifw.runs.results import OPTIONAL, ArmResults, Data

TRAIN_RESULTS = (
    "test_error", "train_error", "train_loss", "diverged_epoch", "diverged_layer", "summary",
    "seconds", "compiled", "not_compiled",
)  # fmt: skip
FITS = ("r2", "mae")
MEASURED = ("measure", "unit")
"""Of regression only."""


def report(outcome: Outcome, as_json: bool) -> None:
    """Print the results of a run; raise DivergedError if every seed diverged."""
    modes = outcome.results.modes
    single = len(modes) == 1  # `train` runs one mode, `compare` runs all
    if as_json:
        print_json(_train_json(outcome) if single else _compare_json(outcome))
    else:
        _print_summary(outcome)
        mine = next(iter(modes.values()))["minifw"]
        if single and len(mine.test_error) == 1 and mine.test_error[0] is not None:
            measure, kept = outcome.results.measured, mine.validation_error
            shown = [("training", mine.train_error[0]), ("test", mine.test_error[0])]
            if kept is not None:
                shown.insert(1, ("validation", kept[0]))
            errors = ", ".join(
                f"{name} {measure.name} {'–' if error is None else measure.figure(error)}"
                for name, error in shown
            )
            fits = ""
            if mine.r2 and mine.mae and mine.r2[0] is not None and mine.mae[0] is not None:
                fits = f" (MAE {measure.figure(mine.mae[0])}, R² {mine.r2[0]:.3f})"
            print(f"{errors}{fits}, in {mine.seconds:.1f} s of training{_stop_of(mine)}")
            if more := sentence(mine, measure):
                print_wrapped(more)
            print()
        else:
            for table in outcome.tables:
                print_table(table)
                print()
        _print_diverged(outcome)
        _print_differences(outcome)
        _print_pairs(outcome)
        print(harmless(outcome.run.path))
    check_converged(outcome)


def _stop_of(arm: ArmResults) -> str:
    """Return where the only seed of an arm stopped, and which weights it has."""
    if arm.stopped_epoch is None or arm.best_epoch is None:
        return ""
    (stopped,), (best,) = arm.stopped_epoch, arm.best_epoch
    ended = "did not stop early" if stopped is None else f"stopped after epoch {stopped}"
    return f"\nit {ended}; its best evaluation was that after epoch {best}"


def _train_json(outcome: Outcome) -> dict[str, Any]:
    results = outcome.results.content()
    ((mode, arms),) = results["modes"].items()
    return {
        "run_dir": str(outcome.run.path),
        "mode": mode,
        "seeds": results["seeds"],
        **{key: arms["minifw"][key] for key in TRAIN_RESULTS},
        **{key: arms["minifw"][key] for key in (*OPTIONAL, *FITS) if key in arms["minifw"]},
        **{key: results[key] for key in MEASURED if key in results},
        "data": results["data"],
    }


def _compare_json(outcome: Outcome) -> dict[str, Any]:
    results = outcome.results.content()

    first = next(iter(results["modes"].values()))["minifw"]

    def of_arms(key: str) -> dict[str, Any]:
        return {m: {a: arm[key] for a, arm in arms.items()} for m, arms in results["modes"].items()}

    def of_minifw(key: str) -> dict[str, Any]:
        return {mode: arms["minifw"][key] for mode, arms in results["modes"].items()}

    return {
        "run_dir": str(outcome.run.path),
        "seeds": results["seeds"],
        "tables": of_arms("summary"),
        "test_error": of_arms("test_error"),
        **{key: of_arms(key) for key in (*OPTIONAL, *FITS) if key in first},
        **{key: results[key] for key in MEASURED if key in results},
        "seconds": of_arms("seconds"),
        "compiled": of_minifw("compiled"),
        "not_compiled": of_minifw("not_compiled"),
        **{key: results[key] for key in ("speedup", "parity", "margin", "pairs") if key in results},
        "data": results["data"],
    }


def _print_summary(outcome: Outcome) -> None:
    data, measure = outcome.results.data, outcome.results.measured
    if data.mean_error is not None:
        print_wrapped(
            f"{harmless(outcome.results.about)}\n"
            f"{_samples(data)} samples; guessing the mean of the training samples has a test "
            f"{measure.name} of {measure.figure(data.mean_error)}\n"
        )
        return
    several = len(data.class_balance)
    shown = several if several <= 10 else 8
    balance = ", ".join(
        f"class {short_word(name)} {share:.1f} %"
        for name, share in list(data.class_balance.items())[:shown]
    )
    if several > shown:
        balance += f", and {several - shown} other classes"
    print_wrapped(
        f"{harmless(outcome.results.about)}\n"
        f"{_samples(data)} samples. Of these: {balance}; guessing the class most frequent in "
        f"training is wrong in {data.majority_error or 0.0:.1f} %\n"
    )


def _samples(data: Data) -> str:
    """Return how many samples are for what."""
    if data.validation is None:
        return f"{data.train} training and {data.test} test"
    return f"{data.train} training, {data.validation} validation and {data.test} test"


def _print_diverged(outcome: Outcome) -> None:
    results = outcome.results
    for mode, arms in results.modes.items():
        for arm, result in arms.items():
            gone = [
                f"{seed} (epoch {epoch})"
                for seed, epoch in zip(results.seeds, result.diverged_epoch, strict=True)
                if epoch is not None
            ]
            if gone:
                more = " …" if len(gone) > 10 else ""
                print_wrapped(f"diverged, {arm} {mode}: seed {', '.join(gone[:10])}{more}\n")


def _print_pairs(outcome: Outcome) -> None:
    pairs = outcome.results.pairs or {}
    for mode, pair in pairs.items():
        print_wrapped(f"{mode}: {harmless(pair.sentence)}", indent=2)
    for line in dict.fromkeys(pair.warning for pair in pairs.values() if pair.warning is not None):
        print_wrapped(harmless(line), indent=2)
    if pairs:
        print()


def _print_differences(outcome: Outcome) -> None:
    for mode, parity in (outcome.results.parity or {}).items():
        if parity.different_seeds:
            dtype = outcome.results.dtype
            why = f"rounding in {dtype} sets the others apart"
            if parity.draws_differ:
                why = "random layers, such as dropout, draw other numbers in the two frameworks"
            print_wrapped(
                f"{mode}: {parity.same_test_error} seeds end with the same test "
                f"{outcome.results.measured.name}; {why} (weights at the end: Table 3).\n"
            )
