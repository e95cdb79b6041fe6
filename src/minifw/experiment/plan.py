"""Makes a plan from a config: all that is decided about a run before it has a directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from minifw import nn
from minifw.compile import CannotCompileError
from minifw.compile.compilers import require_compiler
from minifw.config import heads
from minifw.config.dividing import note_seeds
from minifw.config.model import Config
from minifw.config.source import Source
from minifw.config.tabled import Tabled
from minifw.config.wiring import note_network
from minifw.data import Dataset
from minifw.data.division import Division
from minifw.data.images import image_of
from minifw.data.table import Table
from minifw.errors import DataError, MinifwError
from minifw.experiment import memory, needs
from minifw.experiment.build import (
    build_data,
    build_loss,
    build_network,
    build_optimizer,
    measure,
    names,
    outputs,
    read_table,
)
from minifw.experiment.drawing import (
    cross_validation,
    division_of,
    fault_of_division,
    sizes_of,
    trained_on,
)
from minifw.experiment.draws import check_draws
from minifw.runs import Arm, Mode, Run
from minifw.runs.records import Manifest, PartName
from minifw.runs.results import CrossValidation
from minifw.statistics.measure import Measure
from minifw.training import Learner
from minifw.training.compiled import Steps, check_steps
from minifw.training.placement import Compiling, Schedule, decide, why_plain, work


@dataclass(frozen=True)
class Experiment:
    """Some seeds of a plan and their data; everything has been checked."""

    plan: Plan
    seeds: list[int]
    data: Dataset
    _prepared: list[nn.Network] = field(default_factory=list, repr=False)

    @property
    def config(self) -> Config:
        """The plan's config."""
        return self.plan.config

    def network(self) -> nn.Network:
        """Return the networks with their initial weights, which the caller may train."""
        network = self.prepare()
        self._prepared.clear()
        return network

    def prepare(self) -> nn.Network:
        """Return the networks that `network` will return; they must not be changed."""
        if not self._prepared:
            features = len(self.data.features)
            self._prepared.append(build_network(self.config, self.seeds, features))
        return self._prepared[0]

    def of(self, some: slice) -> Experiment:
        """Return the experiment with some of the seeds."""
        return Experiment(self.plan, self.seeds[some], self.data.of(some))


@dataclass(frozen=True)
class Plan:
    """All decisions about a run before it has a directory; nothing is drawn yet.

    The config fits its data and the machine. `arms` are trained in each of the `modes`, in groups
    of `group_size` seeds. `sizes` are those of each mode, and `compiling` says for each whether
    minifw's steps are compiled. Within the `margin`, in the unit of errors, two arms count as the
    same; None is the usual one.
    """

    config: Config
    source: Source
    table: Table | None
    arms: tuple[Arm, ...]
    modes: tuple[Mode, ...]
    sizes_of: dict[Mode, memory.Sizes]
    group_size: int
    compiling: dict[Mode, Compiling]
    margin: float | None = None

    @property
    def sizes(self) -> memory.Sizes:
        """The sizes of the mode that needs the most memory."""
        return max(self.sizes_of.values(), key=lambda size: size.bytes())

    @property
    def seeds(self) -> list[int]:
        """All seeds."""
        return list(range(self.config.seed, self.config.seed + self.sizes.seeds))

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features, in their order."""
        return names(self.config, self.table)[0]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in their order."""
        return names(self.config, self.table)[1]

    @property
    def measure(self) -> Measure:
        """How errors are measured."""
        return measure(self.config, self.table)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noticed in the data, left out of them or filled, a line each."""
        if self.table is None:
            return ()
        return (*self.table.notes, *self._division.notes(self.seeds))

    @property
    def _division(self) -> Division:
        assert self.table is not None
        assert isinstance(self.config.data, Tabled)
        return division_of(self.config.data, self.table)

    @property
    def division(self) -> str | None:
        """How the samples of a table are divided, in words; None of generated data."""
        return None if self.table is None else self._division.words(len(self.seeds))

    @property
    def cross_validation(self) -> CrossValidation | None:
        """The folds that the seeds test, if the samples are divided into some."""
        return cross_validation(self.config, self.table, len(self.seeds))

    @property
    def groups(self) -> list[list[int]]:
        """The groups of seeds that are trained at once."""
        seeds, size = self.seeds, self.group_size
        return [seeds[first : first + size] for first in range(0, len(seeds), size)]

    def batch_size(self, mode: Mode) -> int | None:
        """Return the samples of a step in this mode, None for all."""
        return self.sizes_of[mode].batch

    def schedule(self, mode: Mode, seeds: int) -> Schedule:
        """Return how minifw trains a group of this many seeds in this mode."""
        return self.sizes_of[mode].schedule(seeds, self.compiling[mode])

    def steps(self, mode: Mode, *, build: bool = True) -> Steps:
        """Return minifw's compiled steps in this mode, which are the same for all seeds.

        Raises:
            CannotCompileError: why they cannot be compiled.

        """
        one = self.draw(self.seeds[:1])
        network = one.prepare()
        learner = Learner(
            network,
            build_loss(self.config, len(self.features)),
            build_optimizer(self.config, network),
        )
        samples = one.data.train
        check_steps(learner, samples)
        return Steps(learner, samples, self.sizes_of[mode].batch_size, build=build)

    def why_plain(self, mode: Mode) -> str | None:
        """Return why minifw's steps in this mode are not compiled, None if they are.

        What only the compiler itself finds out is not known here.
        """
        decided = self.compiling[mode]
        if not decided.compiled:
            return decided.why
        try:
            self.steps(mode, build=False)
        except CannotCompileError as fault:
            return str(fault)
        return None

    def draw(self, seeds: Sequence[int]) -> Experiment:
        """Return these seeds with their samples.

        Raises:
            DataError: numbers are too large for the dtype; `plan` checks this where it can.

        """
        return Experiment(self, list(seeds), build_data(self.config, seeds, self.table))


def build(
    config: Config, default_seeds: int, modes: Sequence[Mode], source: Source | None = None
) -> Experiment:
    """Check the config as `plan` does, and draw the data for all seeds.

    Raises:
        ConfigError, DataError: something does not fit. Nothing has been written.

    """
    checked = plan(config, default_seeds, modes, source)
    return checked.draw(checked.seeds)


def plan(
    config: Config,
    default_seeds: int,
    modes: Sequence[Mode],
    source: Source | None = None,
    *,
    arms: Sequence[Arm] = ("minifw",),
    begun: Run | None = None,
    margin: float | None = None,
) -> Plan:
    """Read a data file, and check that network, modes and memory fit the samples.

    `source` has the lines of the config, for the places of faults. `begun` is a run to be resumed:
    its data file, groups of seeds and compiled steps must not change. `margin` is, by
    default, that of the measure.

    Raises:
        ConfigError, DataError: something does not fit.
        UsageError: steps must be compiled, and there is no C compiler.
        ArtefactError: the data file is not the one that the run began with.

    """
    source = source or Source(config.name)
    manifest = None if begun is None else begun.manifest
    _check_device(config, source)
    if begun is None:  # a run that has begun goes on without
        needs.note_tensorboard(config, source)
    if lacks_batches(config, modes):
        what = (
            "this key is missing; compare runs mode 'sgd' too; --set train.batch_size=32 gives it"
        )
        source.add(("train", "batch_size"), what)
        raise source.error()
    if begun is not None:
        _check_compiler(config, begun)
    seeds = config.count(default_seeds)
    note_seeds(config, source, seeds)
    if source.faults:
        raise source.error()
    config = config.model_copy(update={"seeds": seeds})
    table, train, test, validation = _samples(config, source, manifest)
    features, classes = len(names(config, table)[0]), outputs(config, table)
    if table is not None:  # what generated data have is known to the config's own checks
        called, image = table.targets or table.classes, image_of(table.features)
        note_network(config, source, features, classes, called=called, image=image)
    try:
        for path, loss in heads.each(config.loss):  # noqa: B007
            loss.fits(classes if loss.predicts else features)
    except MinifwError as fault:
        source.add(path, fault.lines[0])
    batch_size = config.train.batch_size or 0
    if "sgd" in modes and batch_size > train:
        left = " that data.validation leaves" if validation else ""
        if not config.data.alteration.is_none:
            left = " that are left"
        what = f"must be at most the {train} training samples{left}, got {batch_size}"
        source.add(("train", "batch_size"), what)
    if source.faults:  # a network that does not fit has no sizes
        raise source.error()
    needs.note_batches(config, source, features, train, modes)
    if table is not None and not config.data.normalize:
        needs.note_tokens(config, source, table.inputs)
    if source.faults:
        raise source.error()
    threads = torch.get_num_threads() if config.device == "cpu" else 1
    sizes = {
        mode: memory.fitted(
            memory.sizes(
                config,
                mode,
                seeds,
                features,
                classes,
                train,
                test,
                validation,
                ensemble="vmap" in arms,
                trained=len(arms) * len(modes),
                threads=threads,
                encoded=table is not None and table.encoding is not None,
            )
        )
        for mode in modes
    }
    compiling = {mode: _compiling(config, mode, sizes[mode], manifest) for mode in modes}
    sizes = {mode: replace(size, records=compiling[mode].compiled) for mode, size in sizes.items()}
    memory.check(config, source, max(sizes.values(), key=lambda size: size.bytes()))
    if source.faults:
        raise source.error()
    group_size = min(size.group_size() for size in sizes.values())
    made = Plan(
        config,
        source,
        table,
        tuple(arms),
        tuple(modes),
        sizes,
        group_size if manifest is None else manifest.together or seeds,
        compiling,
        margin if manifest is None else manifest.margin,
    )
    check_draws(made.config, source, table, made.seeds)
    _check_covered(made)
    return made


def _samples(
    config: Config, source: Source, manifest: Manifest | None
) -> tuple[Table | None, int, int, int]:
    """Return the samples of the table, if the data are one.

    And how many are for training, for testing and for validation.
    """
    section, table = config.data, None
    if isinstance(section, Tabled):
        table = read_table(section, None if manifest is None else manifest.data_checksum)
        if (found := fault_of_division(section, table)) is not None:
            source.add(("data", found[0]), str(found[1]))
            raise source.error()
    key = "validation"
    try:
        left, test, validation = sizes_of(section, table)
        key = "share" if section.imbalance is None else "imbalance"
        return table, trained_on(section, config.seed, table, left), test, validation
    except DataError as fault:
        source.add(("data", key), str(fault))
        raise source.error() from None


def lacks_batches(config: Config, modes: Sequence[Mode]) -> bool:
    """Return whether a mode needs a batch size that the config does not give."""
    return "sgd" in modes and config.train.batch_size is None


def _compiling(
    config: Config, mode: Mode, size: memory.Sizes, manifest: Manifest | None
) -> Compiling:
    """Decide whether minifw's steps in this mode are compiled."""
    for text, record in ({} if manifest is None else manifest.parts).items():
        name = PartName.parse(text)
        if (name.arm, name.mode) == ("minifw", mode) and not record.finished:
            # A resumed run continues as it began, or sums would be rounded in another order.
            why = record.not_compiled
            return Compiling(record.compiled, why=why or "", is_fault=why is not None)
    to_do = work(
        size.step, size.seeds, size.batch_size, config.train.epochs, size.train, size.threads,
        features=size.features, evaluated=size.largest,
    )  # fmt: skip
    return decide(config.train.compile, why_plain(to_do), config.device == "cpu")


def _check_compiler(config: Config, begun: Run) -> None:
    """Raise a UsageError if the rest of the run is compiled and there is no compiler."""
    parts = begun.manifest.parts.values()
    if config.train.compile is True or any(p.compiled and not p.finished for p in parts):
        require_compiler(str(begun.path))


def _check_covered(plan: Plan) -> None:
    """Raise a ConfigError if steps must be compiled and some operation is not covered."""
    if plan.config.train.compile is not True:
        return
    for mode in plan.modes:
        if (why := plan.why_plain(mode)) is not None:
            plan.source.add(
                ("train", "compile"), f"steps cannot be compiled: {why}; false trains plainly"
            )
            raise plan.source.error()


def _check_device(config: Config, source: Source) -> None:
    if config.device == "cuda" and not torch.cuda.is_available():
        version = torch.__version__
        what = f"'cuda' needs a GPU and a CUDA build of torch, and torch {version} finds none"
        source.add(("device",), f"{what}; cpu works everywhere")
    if config.device == "cuda" and config.train.compile is True:
        what = "true is for device: cpu only; auto or false on a GPU"
        source.add(("train", "compile"), what)
    if source.faults:
        raise source.error()
