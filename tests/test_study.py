"""Studies: lanes are their solo runs, jobs are plain data, and whatever interrupts a study loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import Minifw
from minifw import runs
from minifw.config import loading
from minifw.config.model import Config
from minifw.config.packaged import find_config
from minifw.config.source import Source
from minifw.errors import ArtefactError, Interrupted, UsageError
from minifw.library.progress import display
from minifw.runs.studies import CELLS, Crossing, Study
from minifw.study import halving, jobs, kinds, lanes, merging, planning, running
from minifw.study.executors import Follow, InProcess
from minifw.study.jobs import Job, Result
from minifw.study.planning import Plan
from minifw.study.rounds import Kind, Rounds
from minifw.study.running import Outcome
from minifw.study.store import Store
from minifw.system.signals import Stop

SMALL = (
    "data.train=40", "data.test=30", "train.batch_size=15", "train.epochs=4", "train.eval_every=2",
)  # fmt: skip
SEEDS = 3
QUIET = display(quiet=True)


class Everything(Kind):
    """Trains all lanes."""


class Halving(Kind):
    def rounds(self, plan: Plan, pieces: int) -> Rounds:
        return halving.rounds(plan, pieces, factor=2)


KINDS = {"sweep": Everything(), "variance": Everything()}


def configs(*sets: Sequence[str], of: str = "simplenet-sgd") -> list[Config]:
    return [loading.load(find_config(of), [*SMALL, f"seeds={SEEDS}", *each]) for each in sets]


def a_plan(cells: Sequence[Config], **more: object) -> Plan:
    study = Study.model_validate(
        {
            "kind": "sweep",
            "cells": [planning.cell(str(k), {}, config) for k, config in enumerate(cells)],
            "seeds": [*range(SEEDS)],
            "threads": 1,
            **more,
        }
    )
    return planning.plan(study, cells, [Source(str(k)) for k in range(len(cells))])


def do(
    plan: Plan,
    folder: Path,
    kind: Kind = KINDS["sweep"],
    said: Callable[[str], None] = lambda text: None,
    pieces: int = 1,
) -> Outcome:
    return running.start(plan, kind, plan.configs[0], folder, QUIET, said, pieces=pieces)


def errors(outcome: Outcome) -> list[list[float | None]]:
    return [cell.test_error for cell in outcome.results.cells]


def measured(outcome: Outcome) -> str:
    """Return metrics.csv without the name of the run."""
    return outcome.run.read_text("metrics.csv").replace(outcome.run.path.name, "RUN")


LANES = {
    "initial weights": ["init.kind=normal", "init.std=0.5"],
    "another kind of them": ["init=xavier-normal"],
    "noise of the data": ["data.noise=0.3"],
    "other data": ["data=disk", "data.train=40", "data.test=30"],
    "not normalised": ["data.normalize=false"],
    "another first seed": ["seed=7"],
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_lane_has_the_bits_of_its_own_run(
    tmp_path: Path, minifw: Minifw, compiled: bool, dtype: str
) -> None:
    both = ["data=moons", "data.train=40", "data.test=30", f"train.compile={str(compiled).lower()}",
            f"dtype={dtype}"]  # fmt: skip
    changes: list[list[str]] = [[], *LANES.values()]
    cells = configs(*([*both, *change] for change in changes))
    plan = a_plan(cells)
    assert len(plan.shapes) == 1, "these are all lanes of one stack"
    outcome = do(plan, tmp_path)
    for change, cell in zip(changes, outcome.results.cells, strict=True):
        if "seed=7" in change:
            continue  # its seeds are the study's
        words = [word for each in (*SMALL, *both, *change) for word in ("--set", each)]
        alone = minifw("train", "simplenet-sgd", "--seeds", SEEDS, *words, "--json", "-q").json
        assert cell.test_error == alone["test_error"]
        assert cell.train_loss == alone["train_loss"]
        assert cell.compiled == alone["compiled"] == compiled


def test_weights_of_a_lane_are_those_of_its_own_run() -> None:
    cells = configs(
        ["init.kind=normal", "init.std=0.5"],
        ["data.normalize=false"],
        ["data=moons", "data.train=40", "data.test=30"],
    )
    every = [lanes.Lane.of(cell, seed) for cell in range(3) for seed in range(SEEDS)]
    texts = {cell: loading.dump(config) for cell, config in enumerate(cells)}

    def weights(some: Sequence[lanes.Lane]) -> dict[str, torch.Tensor]:
        job = Job(id="a", cells={c: texts[c] for c in {lane.cell for lane in some}},
                  lanes=tuple(some), epochs=4, compiled=False, keeps=True)  # fmt: skip
        return jobs.run(job, {}).checkpoint.weights

    together = weights(every)
    for position, lane in enumerate(every):
        for name, value in weights([lane]).items():
            assert torch.equal(value[0], together[name][position]), (lane, name)


def test_a_cell_of_another_structure_has_a_stack_of_its_own() -> None:
    plan = a_plan(
        configs([], ["network.0.linear=9"], ["train.epochs=5"], ["loss=cross-entropy"], [])
    )
    assert [shape.cells for shape in plan.shapes] == [(0, 4), (1,), (2,), (3,)]


@pytest.mark.parametrize("kind", ["adam", "adamw", "rmsprop", "sgd"])
def test_all_numbers_of_an_optimiser_are_of_a_lane(kind: str) -> None:
    """No clipping is another formula, and so is another schedule."""
    given = [f"optimizer={{kind: {kind}, clip_norm: 1}}"]
    numbers = configs(given)[0].optimizer.per_network
    assert {"weight_decay", "clip_norm"} < {*numbers}
    cells = configs(
        given, *([*given, f"optimizer.{name}=0.5"] for name in numbers), [f"optimizer={kind}"],
        [*given, "train.schedule=cosine"], [*given, "train.eta=0.5"],
    )  # fmt: skip
    several = len(cells) - 1
    first, *others = [shape.cells for shape in a_plan(cells).shapes]
    assert first == (*range(several - 2), several)
    assert others == [(several - 2,), (several - 1,)]


def test_purposes_have_seeds_of_their_own() -> None:
    """Samples, initial weights and orders of a lane are those of three different seeds."""
    (config,) = configs([])
    crossed = lanes.stack([lanes.Lane(0, 5, 6, 7)], {0: config}, {0: None}, ())
    for purpose, seed in (("data", 5), ("init", 6), ("order", 7)):
        alone = lanes.stack([lanes.Lane.of(0, seed)], {0: config}, {0: None}, ())
        same = {
            "data": torch.equal(crossed.data.train.inputs, alone.data.train.inputs),
            "init": torch.equal(crossed.network[0].weight, alone.network[0].weight),
            "order": np.array_equal(crossed.order.state, alone.order.state),  # type: ignore[union-attr]
        }
        assert same == {name: name == purpose for name in same}


def test_crossed_seeds_are_all_there() -> None:
    plan = a_plan(configs([]), kind="variance", crossing=Crossing(data=2, init=3, order=2))
    assert len(set(plan.lanes)) == 12
    assert {lane.init for lane in plan.lanes} == {0, 1, 2}


def test_a_job_is_plain_data() -> None:
    plan = a_plan(configs([]))
    plan = planning.Plan(plan.study, plan.configs, plan.shapes, {"mine.py": b"\xff\x00"})
    (job,) = plan.jobs(plan.lanes)
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_any_division_gives_the_same_bytes(tmp_path: Path) -> None:
    plan = a_plan(configs([], ["data.normalize=false"], ["network.0.linear=9"]))
    whole = do(plan, tmp_path)
    for pieces in (2, 5, 100):
        divided = do(plan, tmp_path, pieces=pieces)
        assert measured(divided) == measured(whole)
        assert divided.results.cells == whole.results.cells


def test_a_cell_that_diverges_is_named_at_once_and_stops_nobody(tmp_path: Path) -> None:
    said: list[str] = []
    plan = a_plan(configs([], ["init.kind=normal", "init.std=1e9"]))
    outcome = do(plan, tmp_path, said=said.append)
    good, gone = outcome.results.cells
    assert said == ["1: diverged with all 3 seeds, the first in epoch 1"]
    assert gone.test_error == [None] * SEEDS
    assert None not in good.test_error
    assert outcome.run.manifest.status == "complete"


def test_if_all_diverge_the_run_says_so(tmp_path: Path) -> None:
    outcome = do(a_plan(configs(["init.kind=normal", "init.std=1e9"])), tmp_path)
    assert outcome.run.manifest.status == "diverged"


# ------------------------------------------------------------------------------- interrupted


class Breaking(InProcess):
    """Raises after some jobs, as a signal would, or after some epochs of one."""

    def __init__(self, store: Store, stop: Stop, jobs_left: int, epochs_left: int = 10**9) -> None:
        super().__init__(store, stop)
        self.jobs_left, self.epochs_left = jobs_left, epochs_left

    def run(
        self, todo: Sequence[Job], results: Mapping[str, Result], follow: Follow
    ) -> Iterator[tuple[Job, Result]]:
        def counting(job: Job, done: int, history: object) -> None:
            self.epochs_left -= 1
            if self.epochs_left < 0:
                raise Interrupted(15)

        for each in super().run(todo, results, counting):
            if self.jobs_left == 0:
                raise Interrupted(15)
            self.jobs_left -= 1
            yield each


@pytest.mark.parametrize(("jobs_left", "epochs_left"), [(0, 10**9), (2, 10**9), (9, 3), (9, 10)])
def test_an_interrupted_study_is_resumed_to_the_same_results(
    tmp_path: Path, jobs_left: int, epochs_left: int
) -> None:
    plan = a_plan(configs([], ["network.0.linear=9"], ["data.normalize=false"]))
    whole = do(plan, tmp_path / "whole", pieces=2)

    def make(store: Store, stop: Stop) -> Breaking:
        return Breaking(store, stop, jobs_left, epochs_left)

    with pytest.raises(Interrupted):
        running.start(plan, KINDS["sweep"], plan.configs[0], tmp_path, QUIET, print, make, pieces=2)
    (path,) = (p for p in tmp_path.iterdir() if p.name != "whole")
    begun = runs.load(path)
    assert begun.manifest.status == "interrupted"
    before = {name: (path / name).stat().st_mtime_ns for name in begun.known if ".job" in name}
    resumed = running.resume(path, KINDS, QUIET, print, pieces=2)
    assert measured(resumed) == measured(whole)
    assert resumed.run.faults() == []
    assert resumed.run.strangers() == []
    after = {name: (path / name).stat().st_mtime_ns for name in before}
    assert before == after, "what was done is not done again"
    with pytest.raises(UsageError, match="nothing is left to do"):
        running.resume(path, KINDS, QUIET, print)


def test_a_damaged_job_is_done_again(tmp_path: Path) -> None:
    plan = a_plan(configs([], ["network.0.linear=9"]))
    whole = do(plan, tmp_path / "whole")
    with pytest.raises(Interrupted):
        running.start(
            plan, KINDS["sweep"], plan.configs[0], tmp_path, QUIET, print,
            lambda store, stop: Breaking(store, stop, 1),
        )  # fmt: skip
    (path,) = (p for p in tmp_path.iterdir() if p.name != "whole")
    (job,) = (path / "jobs").glob("*.job")
    content = bytearray(job.read_bytes())
    content[len(content) // 2] ^= 1
    job.write_bytes(content)
    assert measured(running.resume(path, KINDS, QUIET, print)) == measured(whole)


def test_a_stored_job_is_that_of_its_name(tmp_path: Path) -> None:
    outcome = do(a_plan(configs([])), tmp_path)
    store = Store(outcome.run)
    (name,) = store.names()
    (outcome.run.path / "jobs/other.job").write_bytes(outcome.run.read(f"jobs/{name}.job"))
    assert store.get(name) is not None
    assert store.get("other") is None


@pytest.mark.parametrize(
    "other",
    [
        configs(["train.eta=0.3"]),  # the same lanes, another number
        configs([])[:1] * 2,  # more networks
    ],
)
def test_a_job_of_another_study_is_done_again(tmp_path: Path, other: list[Config]) -> None:
    outcome = do(a_plan(configs([])), tmp_path / "mine")
    foreign = do(a_plan(other), tmp_path / "other")
    name = "jobs/shape-0.1-of-1.job"
    assert outcome.run.read(name) != foreign.run.read(name)
    outcome.run.write(name, foreign.run.read(name))
    outcome.run.commit(status="interrupted")
    again = running.resume(outcome.run.path, KINDS, QUIET, print)
    assert measured(again) == measured(outcome)


def test_what_stands_before_a_checkpoint_is_checked(tmp_path: Path) -> None:
    outcome = do(a_plan(configs([])), tmp_path)
    content = outcome.run.read("jobs/shape-0.1-of-1.job")[:-32]
    head, _, rest = content.partition(b"\n")
    about = json.loads(head)
    others: list[object] = [5, [], about | {"lanes": [[0]]}, about | {"more": 1}, {"id": "a"}]
    for foreign in others:
        with pytest.raises(ArtefactError, match="x: not the result of a job"):
            Result.from_bytes(json.dumps(foreign).encode() + b"\n" + rest, "x")


def test_networks_that_cannot_be_listed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minifw.system.machine.available", lambda: 10**6)
    with pytest.raises(UsageError, match="records of 1002 networks need about 1.0 MB"):
        a_plan(configs([]), seeds=[*range(1002)])


# ------------------------------------------------------------------------------- parts, halving


def test_parts_are_merged_to_the_run_that_was_not_divided(tmp_path: Path) -> None:
    cells = configs([], ["network.0.linear=9"], ["data.normalize=false"])
    whole = do(a_plan(cells), tmp_path / "whole")
    for count in (1, 2, 4, 9):
        folder = tmp_path / str(count)
        parts = [do(a_plan(cells, part=(k, count)), folder, pieces=k) for k in range(1, count + 1)]
        paths = [part.run.path for part in reversed(parts)]
        merged = merging.merge(paths, KINDS, folder)
        assert measured(merged) == measured(whole)
        assert merged.results.cells == whole.results.cells
        assert merged.run.faults() == []
        with pytest.raises(UsageError, match=rf"missing: {count}/{count}|expects the runs"):
            merging.merge(paths[1:], KINDS, folder)
        with pytest.raises(UsageError, match=f"is part {count}/{count}, as is"):
            merging.merge([*paths, paths[0]], KINDS, folder)
    other = do(a_plan(cells[:2], part=(1, 2)), tmp_path)
    with pytest.raises(UsageError, match="not a part of the same study"):
        merging.merge([*paths[:-1], other.run.path], KINDS, tmp_path)
    with pytest.raises(UsageError, match="as many parts as there are networks, 9, got 10"):
        a_plan(cells, part=(1, 10))
    with pytest.raises(UsageError, match="is not a part of a study"):
        merging.merge([whole.run.path], KINDS, tmp_path)


def test_rungs() -> None:
    (config,) = configs(["train.epochs=200", "train.eval_every=10"])
    assert halving.rungs(config, 3, cells=10**6) == [10, 30, 70, 200]
    (config,) = configs(["train.epochs=4", "train.eval_every=10"])
    assert halving.rungs(config, 3, cells=9) == [4]


@pytest.mark.parametrize(
    ("factor", "cells", "rungs"),
    [(2, 1, 1), (2, 2, 2), (2, 4, 2), (2, 5, 3), (2, 10, 4), (3, 9, 2), (3, 10, 3), (9, 4, 2)],
)
def test_cells_are_compared_as_late_as_possible(factor: int, cells: int, rungs: int) -> None:
    (config,) = configs(["train.epochs=200", "train.eval_every=1"])
    found = halving.rungs(config, factor, cells)
    assert len(found) == rungs
    assert found == [-(-200 // factor**k) for k in reversed(range(rungs))]


def test_the_time_of_a_job_is_without_that_of_those_before_it() -> None:
    plan = a_plan(configs([]))
    (first,) = plan.jobs(plan.lanes, label="first.", until={0: 2}, keeps=True)
    begun = jobs.run(first, {})
    begun.about["seconds"] = begun.history.seconds = 1e6
    places = {lane: (first.id, position) for position, lane in enumerate(plan.lanes)}
    (second,) = plan.jobs(plan.lanes, begun=places)
    result = jobs.run(second, {first.id: Result.from_bytes(begun.to_bytes(), "")})
    assert result.history.epoch == 4
    assert result.history.seconds == result.about["seconds"] < 1e6


@pytest.mark.parametrize("compiled", ["true", "false"])
def test_halving_stops_the_worse_cells_and_leaves_the_others_their_bits(
    tmp_path: Path, compiled: str
) -> None:
    both = [f"train.compile={compiled}", "train.epochs=8", "train.schedule=cosine"]  # of all epochs
    sets = [[*both, "init.kind=normal", f"init.std={std}"] for std in (0.2, 0.3, 1e9, 0.4, 0.5)]
    plan = a_plan(configs(*sets))
    whole = do(plan, tmp_path)
    halved = do(plan, tmp_path, Halving())
    epochs = [cell.epochs for cell in halved.results.cells]
    assert sorted(epochs) == [2, 2, 4, 8, 8]
    assert epochs[2] == 2, "a diverged cell is the first to go"
    for full, cut in zip(whole.results.cells, halved.results.cells, strict=True):
        if cut.epochs == full.epochs:
            assert cut.test_error == full.test_error
    lines = set(measured(whole).splitlines())
    assert set(measured(halved).splitlines()) < lines, "a stopped cell has a part of its training"


# ------------------------------------------------------------------------------- from anybody


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "other"}, "kind: must be 'sweep'"),
        ({"part": [3, 2]}, "part: must be"),
        ({"cells": []}, "cells: "),
        ({"threads": 0}, "threads: must be"),
        ({"more": 1}, "does not know this key"),
        ({"seeds": [0, 1, 1]}, "seeds: must differ"),
        ({"crossing": {"data": 10**9, "init": 10**9, "order": 1}}, "must be of at most 100000"),
    ],
)
def test_a_study_from_anybody_is_checked(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    outcome = do(a_plan(configs([])), tmp_path)
    content = json.loads(outcome.run.read("study.json")) | change
    outcome.run.write_json("study.json", content)
    outcome.run.commit(status="interrupted")
    with pytest.raises(ArtefactError, match=says):
        running.resume(outcome.run.path, KINDS, QUIET, print)


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("sweep", {}, "axes: this key is missing"),
        ("sweep", {"axes": [["train.eta"]], "halving": "2"}, "halving: must be"),
        ("sweep", {"axes": [["train.eta"]], "halving": 1}, "halving: must be"),
        (
            "sweep",
            {"axes": [["train.eta"]], "guided": {"trials": 0, "base": ""}},
            "trials: must be",
        ),
        ("compare", {"margin": -1.0}, "margin: must be"),
        ("compare", {"notes": [3]}, "notes"),
        ("variance", {"difference": 200.0}, "needs a crossing and a difference"),
    ],
)
def test_options_from_anybody_are_checked_before_anything_is_trained(
    kind: str, options: dict[str, object], says: str
) -> None:
    plan = a_plan(configs([]), kind=kind, options=options)
    with pytest.raises(ArtefactError, match=says):
        kinds.KINDS[kind].rounds(plan, 1)


def test_what_a_study_leaves_is_listed(tmp_path: Path) -> None:
    outcome = do(a_plan(configs([])), tmp_path)
    (entry,) = runs.entries(tmp_path)
    assert (entry.status, entry.results is not None) == ("complete", True)
    assert {
        CELLS,
        "metrics.csv",
        "study.json",
        "config.yaml",
        "env.json",
    } <= outcome.run.known.keys()


def test_parts_of_other_versions_are_told(tmp_path: Path) -> None:
    parts = [do(a_plan(configs([]), part=(k, 2)), tmp_path) for k in (1, 2)]
    parts[1].run.manifest.versions["torch"] = "1.0"
    parts[1].run.commit()
    said: list[str] = []
    paths = [part.run.path for part in parts]
    merging.merge(paths, KINDS, tmp_path, said.append)
    assert said == [
        f"{paths[1]}: was trained with torch 1.0, not {torch.__version__}; last bits may differ"
    ]
