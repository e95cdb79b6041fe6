"""One seed of a run trained alone again, for its weights on the way.

A network has the same bits alone as in a stack, on the same machine and with as many threads as
before, so a run need not keep more than its last weights. A replay costs what training one seed
costs, up to the last epoch that is asked for; without early stopping nothing is evaluated on the
way.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from minifw import nn
from minifw.compile.compilers import require_compiler
from minifw.data import BatchOrder, Dataset, Floats
from minifw.errors import ArtefactError, UsageError
from minifw.experiment import inputs
from minifw.experiment.build import build_loss, build_optimizer, build_stopping
from minifw.experiment.plan import Experiment, Plan
from minifw.experiment.plan import plan as make_plan
from minifw.runs import Mode, Run
from minifw.runs.records import PartName
from minifw.training import Division, History, Learner, one_thread
from minifw.training.fit import fit
from minifw.training.placement import Schedule
from minifw.training.rates import by_epoch, steps_of_epoch

Weights = dict[str, Tensor]
"""The state dict of a stack of one network; the tensors are copies, on the network's device."""


@dataclass(frozen=True)
class Replayed:
    """A seed that was trained again: its weights after each of `epochs`, or of `steps`.

    A network that stopped early or diverged in epoch `ended` keeps its last weights from there on;
    after early stopping these are those that it ended with, as in the run.
    """

    experiment: Experiment
    """The seed with its samples, as a stack of one."""
    mode: Mode
    at: tuple[int, ...]
    """Epochs, or steps, in the order in which they were asked for."""
    weights: tuple[Weights, ...]
    ended: int
    """The epoch after which nothing more was trained."""
    diverged: bool

    @property
    def seed(self) -> int:
        """The seed."""
        return self.experiment.seeds[0]

    @property
    def data(self) -> Dataset:
        """Its samples."""
        return self.experiment.data

    def network(self, place: int) -> nn.Network:
        """Return a network in use, a stack of one, with the weights of the place-th of `at`."""
        network = self.experiment.network()
        network.load_state_dict(self.weights[place])
        return network.eval()


def replay(
    what: Run | Plan,
    seed: int,
    mode: Mode | None,
    epochs: Sequence[int],
    *,
    allow_code: bool = False,
) -> Replayed:
    """Train one seed of a run, or of a plan, alone again; return its weights after these epochs.

    Args:
        what: a run of `train` or `compare`, whose data are generated or in a file that is still
            there and has not changed; or a plan, which has read its data.
        seed: one of its seeds; of a plan any seed.
        mode: None is its first, or only, mode.
        epochs: after which weights are wanted; 0 is before the first, and the last one gives what
            the run's checkpoint holds.
        allow_code: whether Python files that the run keeps may be executed.

    Raises:
        UsageError: there is no such seed, mode or epoch; the run is a study, or runs code without
            permission; its steps were compiled, and here is no compiler.
        ArtefactError: a file of the run, or its data file, has changed.
        DataError: its data file cannot be read.

    """
    again = _Again.of(what, seed, mode, allow_code)
    again.check("epoch", epochs, again.plan.config.train.epochs)
    return again.after_epochs(tuple(epochs))


def replay_steps(
    what: Run | Plan,
    seed: int,
    mode: Mode | None,
    steps: Sequence[int],
    *,
    allow_code: bool = False,
) -> Replayed:
    """Train one seed again as `replay` does; return its weights after so many steps.

    Steps of an epoch that is not trained to its end are plain. If those of the run are compiled,
    numbers differ from them by rounding.

    Raises: as `replay`.
    """
    again = _Again.of(what, seed, mode, allow_code)
    again.check("step", steps, again.plan.config.train.epochs * again.steps)
    return again.after_steps(tuple(steps))


def before_step(
    what: Run | Plan, seed: int, mode: Mode | None, step: int, *, allow_code: bool = False
) -> Ready:
    """Train one seed again for so many steps, and return it ready for the next one.

    Raises:
        UsageError: as `replay`; or the seed has diverged or stopped before.

    """
    again = _Again.of(what, seed, mode, allow_code)
    again.check("step", [step], again.plan.config.train.epochs * again.steps - 1)
    return again.before(step)


@dataclass(frozen=True)
class Ready:
    """A seed that is ready for a step, which has the learning rate `eta`; all is its own."""

    experiment: Experiment
    mode: Mode
    learner: Learner
    eta: float


@dataclass(frozen=True)
class _Again:
    """One seed of a plan, and how it is trained as in the whole run."""

    plan: Plan
    experiment: Experiment
    mode: Mode
    schedule: Schedule

    @classmethod
    def of(cls, what: Run | Plan, seed: int, mode: Mode | None, allow_code: bool) -> _Again:
        plan = what if isinstance(what, Plan) else plan_of(what, allow_code)
        where = plan.config.name if isinstance(what, Plan) else str(what.path)
        seeds, modes = plan.seeds, plan.modes
        if isinstance(what, Run) and seed not in seeds:
            raise UsageError(f"{where}: seed: must be {seeds[0]} to {seeds[-1]}, got {seed}")
        if mode is not None and mode not in modes:
            raise UsageError(f"{where}: mode: must be {' or '.join(modes)}, got '{mode}'")
        mode = mode or modes[0]
        groups = [*enumerate(plan.groups, 1)]
        number, group = next((pair for pair in groups if seed in pair[1]), groups[0])
        compiled, threads = plan.compiling[mode].compiled, None
        if isinstance(what, Run):
            part = what.manifest.parts.get(str(PartName("minifw", mode, number, len(plan.groups))))
            if part is None:
                raise UsageError(f"{where}: its training in mode '{mode}' has not begun")
            compiled, threads = part.compiled, what.manifest.threads
        if compiled:
            require_compiler(where)
        schedule = plan.schedule(mode, len(group))
        return cls(plan, plan.draw([seed]), mode, _alone(schedule, len(group), compiled, threads))

    @property
    def steps(self) -> int:
        """The steps of an epoch."""
        samples = self.experiment.data.train.count
        return steps_of_epoch(samples, self.plan.batch_size(self.mode) or samples)

    def check(self, unit: str, at: Sequence[int], most: int) -> None:
        """Raise a UsageError for an epoch or step that training does not have."""
        for number in at:
            if not 0 <= number <= most:
                raise UsageError(f"{unit}: must be 0 to {most}, got {number}")

    def after_epochs(self, epochs: tuple[int, ...]) -> Replayed:
        """Return the weights after these epochs."""
        network = self.experiment.network()
        order, optimizer = self._order(), build_optimizer(self.plan.config, network)
        history, found = self._train(network, optimizer, order, epochs)
        return self._replayed(epochs, [found[epoch] for epoch in epochs], history)

    def after_steps(self, steps: tuple[int, ...]) -> Replayed:
        """Return the weights after so many steps: whole epochs, and a part of the next one."""
        network = self.experiment.network()
        order, optimizer = self._order(), build_optimizer(self.plan.config, network)
        history: History | None = None
        found: dict[int, Weights] = {}
        for epoch in sorted({step // self.steps for step in steps}):
            history, weights = self._train(network, optimizer, order, (epoch,), history)
            wanted = sorted(step for step in steps if step // self.steps == epoch)
            for step in wanted:
                rest = step % self.steps
                if rest == 0 or history.all_ended:
                    found[step] = weights[epoch]
                else:
                    learner = self._begun(network, optimizer, order, epoch, rest)
                    found[step] = learner.network.state_dict()
        assert history is not None
        return self._replayed(steps, [found[step] for step in steps], history)

    def _order(self) -> BatchOrder | None:
        if self.plan.batch_size(self.mode) is None:
            return None
        return BatchOrder(self.experiment.seeds, self.experiment.data.train.count)

    def _train(
        self,
        network: nn.Network,
        optimizer: nn.Optimizer,
        order: BatchOrder | None,
        epochs: tuple[int, ...],
        history: History | None = None,
    ) -> tuple[History, dict[int, Weights]]:
        """Train up to the last of these epochs; return the weights after each of them."""
        config, last = self.plan.config, max(epochs, default=0)
        found: dict[int, Weights] = {0: network.state_dict()} if history is None else {}
        if last == 0:
            return history or History.of((1,)), found

        def on_epoch(epoch: int, history: History) -> None:
            if epoch in epochs:
                found[epoch] = network.state_dict()
            if epoch == last < config.train.epochs:
                history.stop()

        stopping = build_stopping(config)
        history = fit(
            network,
            build_loss(config, len(self.experiment.data.features)),
            optimizer,
            self.experiment.data,
            epochs=config.train.epochs,
            eta=config.train.eta,
            rates=config.train.schedule.make(),
            batch_size=self.plan.batch_size(self.mode),
            next_order=order,
            # Evaluations change no weights, but they decide when a network stops.
            eval_every=config.train.epochs if stopping is None else config.train.eval_every,
            on_epoch=on_epoch,
            schedule=self.schedule,
            history=history,
            stopping=stopping,
        )
        # Early stopping may put the best weights back at the very end.
        ended = {epoch: network.state_dict() for epoch in epochs if epoch >= history.epoch}
        return history, found | ended

    def before(self, step: int) -> Ready:
        """Return the learner after so many steps, with the learning rate of the next one."""
        network = self.experiment.network()
        order, optimizer = self._order(), build_optimizer(self.plan.config, network)
        epoch, rest = divmod(step, self.steps)
        history, _ = self._train(network, optimizer, order, (epoch,))
        if history.all_ended:
            how = "diverged" if (history.diverged >= 0).any() else "stopped early"
            raise UsageError(
                f"step: seed {self.experiment.seeds[0]} {how} in epoch {history.epoch}, so that "
                f"there is no step {step}; must be 0 to {history.epoch * self.steps - 1}"
            )
        learner = self._begun(network, optimizer, order, epoch, rest)
        factors = self._factors(epoch + 1)
        factor = 1.0 if factors is None else float(factors[rest])
        return Ready(self.experiment, self.mode, learner, self.plan.config.train.eta * factor)

    def _factors(self, epoch: int) -> Floats | None:
        """Return the factor of the learning rate in each step of an epoch, counted from 1."""
        train, samples = self.plan.config.train, self.experiment.data.train.count
        batch = self.plan.batch_size(self.mode) or samples
        return by_epoch(train.schedule.make(), samples, batch, train.epochs)(epoch)

    def _begun(
        self,
        network: nn.Network,
        optimizer: nn.Optimizer,
        order: BatchOrder | None,
        epoch: int,
        count: int,
    ) -> Learner:
        """Return a learner that has taken the first steps of the epoch that follows this one."""
        config, samples = self.plan.config, self.experiment.data.train
        # Copies, so that the training of later epochs can go on from here.
        network, optimizer = copy.deepcopy((network, optimizer))
        order = copy.deepcopy(order)
        loss = build_loss(config, len(self.experiment.data.features))
        learner = Learner(network.train(), loss, optimizer)
        if count == 0:
            return learner
        batch = self.plan.batch_size(self.mode) or samples.count
        indices = torch.arange(samples.count)[None] if order is None else order()
        factors = self._factors(epoch + 1)
        with one_thread():
            for step in range(count):
                some = samples.in_order(indices[:, step * batch : (step + 1) * batch])
                factor = 1.0 if factors is None else float(factors[step])
                learner.step(*some, config.train.eta * factor)
        return learner

    def _replayed(
        self, at: tuple[int, ...], weights: Sequence[Weights], history: History
    ) -> Replayed:
        gone = bool((history.diverged >= 0).any())
        return Replayed(self.experiment, self.mode, at, tuple(weights), history.epoch, gone)


def plan_of(run: Run, allow_code: bool = False) -> Plan:
    """Return the plan of a run, from its own files and its data; steps are planned plainly.

    Raises: as `replay`.
    """
    manifest = run.manifest
    if manifest.kind != "train":
        raise UsageError(
            f"{run.path}: a run of minifw {manifest.kind} has no networks to be trained again; "
            "minifw train trains some"
        )
    config = inputs.config_of(run, allow_code)
    # How each part was compiled is in the manifest.
    train = config.train.model_copy(update={"compile": False})
    config = config.model_copy(update={"train": train})
    seeds = manifest.seeds
    plan = make_plan(config, len(seeds), manifest.modes, arms=manifest.arms, begun=run)
    if plan.seeds != seeds:
        raise ArtefactError(f"{run.path}: its manifest has other seeds than its config.yaml")
    if inputs.INPUTS in run.known:
        inputs.check(run, plan)
    return plan


def _alone(schedule: Schedule, together: int, compiled: bool, threads: int | None) -> Schedule:
    """Return how one network is trained so that it has the bits of one of so many `together`.

    Each network of a stack has one thread, a single one may have those of torch.
    """
    if together > 1:
        return Schedule(Division(1, 1), Division(1, 1), compiled=compiled)
    if compiled:
        return Schedule(Division(1, 1), schedule.evaluation, compiled=True)
    several = [
        division._replace(threads=threads) if threads and division and division.threads != 1
        else division
        for division in (schedule.training, schedule.evaluation)
    ]  # fmt: skip
    return replace(
        schedule, training=several[0] or Division(), evaluation=several[1],
        compiled=False, otherwise=None, not_compiled=None,
    )  # fmt: skip
