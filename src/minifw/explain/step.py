"""One step of training on a few samples, explained: `explain`.

The step is the one that trains, taken with the weights that training has after so many steps, but
in float64, so that its gradients can be compared with finite differences.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from minifw import nn
from minifw.errors import UsageError
from minifw.experiment import Plan
from minifw.experiment.build import build_loss, build_network, build_optimizer
from minifw.experiment.replay import before_step
from minifw.explain.model import (
    PHASES,
    Cost,
    Dead,
    Explained,
    Gradient,
    Layer,
    Numbers,
    Phase,
    Trained,
)
from minifw.explain.numeric import Differences
from minifw.explain.trace import Code, Tracer
from minifw.explain.watch import Called, Watch
from minifw.nn.module import in_mode
from minifw.nn.registry import LayerDeclaration, declaration_of
from minifw.nn.variables import Record
from minifw.runs import Mode
from minifw.training import Learner

LOOKED_AT = 1000
"""Training samples of which dead units are counted, at most."""


def explain(
    plan: Plan, seed: int, *, samples: int = 4, step: int = 0, mode: Mode | None = None
) -> Explained:
    """Explain the step that follows `step` steps of training, on the first training samples.

    Raises:
        UsageError: there is no such seed or step, there are fewer samples, or a layer needs more.

    """
    if not 1 <= samples <= plan.sizes.train:
        raise UsageError(
            f"samples: must be 1 to the {plan.sizes.train} training samples, got {samples}"
        )
    ready = before_step(plan, seed, mode, step)
    _check_samples(ready.learner.network, samples)
    data = ready.experiment.data
    learner = _in_float64(plan, seed, ready.learner)
    few = data.train.map(lambda values: values[:, :samples].cpu())
    inputs, targets = few.inputs.double(), few.targets
    targets = targets.double() if targets.is_floating_point() else targets
    taken = _Taken(learner, inputs, targets, ready.eta)
    many = data.train.inputs[:, :LOOKED_AT].cpu().double()
    names = [section.name for section in plan.config.network]
    layers = taken.layers(names, many)
    return Explained(
        config=plan.config.name,
        seed=seed,
        step=step,
        samples=samples,
        mode=ready.mode,
        features=len(data.features),
        layers=layers,
        cost=taken.cost(),
        optimizer=repr(learner.optimizer),
        rule=formula(learner.optimizer),
        eta=ready.eta,
        update=taken.update,
        code=tuple(taken.code),
        moments=tuple(taken.moments),
    )


def formula(thing: object) -> str:
    """Return the formula of a module, loss or optimiser: the first sentences of its docstring."""
    text = type(thing).__doc__ or ""
    if not text:
        return type(thing).__name__
    return " ".join(inspect.cleandoc(text).split("\n\n")[0].split())


def _check_samples(network: nn.Network, samples: int) -> None:
    for position, module in enumerate(network):
        least = declaration_of(type(module), LayerDeclaration).least
        if least is not None and samples < 2:
            raise UsageError(
                f"samples: layer {position}, {module!r}, needs 2 or more in training, got {samples}"
            )


def _in_float64(plan: Plan, seed: int, learner: Learner) -> Learner:
    """Return the learner with the same numbers in float64, on the CPU."""
    config = plan.config.model_copy(update={"dtype": "float64", "device": "cpu"})
    network = build_network(config, [seed], len(plan.features))
    network.load_state_dict(_doubled(learner.network.state_dict()))
    optimizer = build_optimizer(config, network.train())
    optimizer = optimizer.with_state(network, _doubled(learner.optimizer.state))
    return Learner(network, build_loss(config, len(plan.features)), optimizer)


def _doubled(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: value.cpu().double() if value.is_floating_point() else value.cpu().clone()
        for name, value in state.items()
    }


class _Taken:
    """A step that was taken and watched; afterwards the learner is as it was before."""

    def __init__(self, learner: Learner, inputs: Tensor, targets: Tensor, eta: float) -> None:
        self.network, self.loss = learner.network, learner.loss
        self.inputs, self.targets = inputs, targets
        parameters = self.network.parameters()
        states = {name: value.clone() for name, value in self.network.states()}
        self.network.forward(inputs)  # records which module takes what
        self.record = _record_of(self.network)
        self._restore(states)
        before = {name: value.clone() for name, value, _ in parameters}
        self.watch = Watch(self.record)
        self.calls = self.watch.calls
        parts = [loss for loss, _, _ in self.loss.parts]
        modules = [called.module for called in self.calls]
        code = Code([*modules, self.loss, *parts, learner.optimizer])
        kept = {f"{name}_grad": gradient for name, _, gradient in parameters}
        kept |= {name: value for name, value, _ in parameters}
        tracer = Tracer(code, self._where, kept)
        with self.watch.watching(), tracer.following():
            self.output = learner.step(inputs, targets, eta).clone()
            self.value = self.loss.function(self.output, targets)
        self.code, moments = tracer.lines_and_moments()
        # The loss itself is asked for after the step, which needs its gradient alone.
        self.moments = sorted(moments, key=lambda moment: PHASES.index(moment.phase))
        self.gradients = {name: gradient.clone() for name, _, gradient in parameters}
        self.changes = {name: value - before[name] for name, value, _ in parameters}
        for name, value, _ in parameters:
            value.copy_(before[name])
        squares = [float(change.square().sum()) for change in self.changes.values()]
        self.update = sum(squares) ** 0.5
        self.differences = Differences(
            self.network, self.record, self.loss, inputs, targets, states
        )

    def _restore(self, states: Mapping[str, Tensor]) -> None:
        for name, value in self.network.states():
            value.copy_(states[name])

    def _where(self, method: str) -> tuple[Phase, int | None]:
        """Return phase and call of what this method computes now."""
        if self.watch.now is not None:
            return self.watch.phase, self.watch.now
        phases: dict[str, Phase] = {"function": "loss", "grad": "gradient of the loss"}
        return phases.get(method, "update"), None

    def layers(self, names: Sequence[str | None], many: Tensor) -> tuple[Layer, ...]:
        """Return what is known of each call; `many` are samples of which dead units are counted."""
        with in_mode(self.network, training=False):
            self.network.forward(many)
            record, values, _ = self.network.call.saved if self.network.call else (None, [], [])
        often = [values[step.first][0] for step in record.steps] if record else []
        first = {id(module): place for place, module in reversed([*enumerate(self.network)])}
        found = []
        for place, called in enumerate(self.calls):
            position = place if place < len(names) else None
            again = first.get(id(called.module), place) != place
            found.append(
                Layer(
                    position=position,
                    name=names[place] if position is not None else None,
                    module=repr(called.module),
                    formula=formula(called.module),
                    takes=tuple(
                        self._origin(number, names) for number in self.record.steps[place].inputs
                    ),
                    inputs=tuple(
                        Numbers.of(name, value[0])
                        for name, value in zip(_inputs(called), called.inputs, strict=True)
                    ),
                    output=Numbers.of("y", called.output[0][0]),
                    came=self._came(place, called),
                    given=self._given(place, called),
                    parameters=() if again else tuple(self._trained(place, called)),
                    again=again,
                    dead=_dead(called, often[place]) if often else None,
                )
            )
        return tuple(found)

    def _origin(self, number: int, names: Sequence[str | None]) -> str:
        """Return in words where a value of the record comes from."""
        if number == 0:
            return "the data"
        place = next(k for k, step in enumerate(self.record.steps) if step.first == number)
        name = names[place] if place < len(names) else None
        return f"layer {place}" if name is None else f"layer {place}, {name}"

    def _came(self, place: int, called: Called) -> Gradient | None:
        if not called.came:
            return None
        return self.differences.of_output(place, "dL/dy", called.output[0], called.came[0])

    def _given(self, place: int, called: Called) -> tuple[Gradient, ...]:
        return tuple(
            self.differences.of_input(place, which, f"dL/d{name}", called.inputs, gradient)
            for which, (name, gradient) in enumerate(
                zip(_inputs(called), called.given, strict=bool(called.given))
            )
        )

    def _trained(self, place: int, called: Called) -> list[Trained]:
        found = []
        total = self.update**2 or 1.0
        for own, value, _ in called.module.parameters():
            name = f"{place}.{own}"
            change = self.changes[name]
            gradient = self.differences.of_parameter(f"dL/d{own}", value, self.gradients[name])
            found.append(
                Trained(
                    own,
                    Numbers.of(own, value[0]),
                    gradient,
                    Numbers.of(f"Δ {own}", change[0]),
                    float(change.square().sum()) / total,
                )
            )
        return found

    def cost(self) -> Cost:
        """Return what the loss took and gave."""
        gradient = self.loss.grad(self.output, self.targets).clone()
        return Cost(
            repr(self.loss),
            formula(self.loss),
            float(self.value[0]),
            Numbers.of("output", self.output[0]),
            Numbers.of("target", self.targets[0]),
            self.differences.of_end("dL/d(output)", self.output, gradient),
        )


def _record_of(network: nn.Network) -> Record:
    assert network.call is not None
    record: Record = network.call.saved[0]
    return record


def _inputs(called: Called) -> list[str]:
    """Return the names of a call's inputs: x, or a, b, c and so on."""
    count = len(called.inputs)
    return ["x"] if count == 1 else [f"x{number}" for number in range(1, count + 1)]


def _dead(called: Called, often: Tensor) -> Dead | None:
    """Count the units of an activation function that are 0 in each sample."""
    if not isinstance(called.module, nn.ActivationFunction):
        return None
    now, always = (_zero(values) for values in (called.output[0][0], often))
    return Dead(len(now), int(now.sum()), int(always.sum()), len(often))


def _zero(values: Tensor) -> Tensor:
    """Return for each feature or channel whether it is 0 in each sample `(n, units, …)`."""
    return torch.eq(values, 0).transpose(0, 1).flatten(1).all(1)
