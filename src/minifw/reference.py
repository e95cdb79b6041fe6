"""The PyTorch twin: the same network, data, weights and batch order, as a PyTorch user trains it.

This is the one file where autograd, `torch.nn` and `torch.optim` are allowed; it exists to be
compared with. `Loop` trains one network after another, as is usual in PyTorch; `Ensemble` trains
them at once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

from minifw import nn as ours
from minifw.checkpoints import Checkpoint
from minifw.data import BatchOrder, Dataset, Samples
from minifw.history import SERIES, History
from minifw.training import clock, error_percent, finite

Criterion = Callable[[Tensor, Tensor], Tensor]
State = dict[str, Tensor]
"""Weights and biases by their names in an nn.Sequential."""

# A single network is little work for many calls. Weights to be evaluated wait until there are so
# many, or so many numbers; in a row they take two thirds of the time, for the first calls after
# training find neither code nor memory in the cache. And as many go through in one call as have
# together so many samples. So many losses wait to be looked at too, and seeds to be joined.
WAITING, WAITING_NUMBERS, SAMPLES_AT_ONCE = 64, 2**22, 16_000


OnSeed = Callable[[int, Callable[[], Checkpoint]], None]


def twin(network: ours.Network, seed: int) -> nn.Sequential:
    """Return network number `seed` of a stack as an nn.Sequential, weights copied."""
    layers: list[nn.Module] = []
    for module in network:
        match module:
            case ours.Linear():
                layer = nn.Linear(
                    module.in_features,
                    module.out_features,
                    bias=module.bias is not None,
                    dtype=module.weight.dtype,
                    device=module.weight.device,
                )
                with torch.no_grad():
                    layer.weight.copy_(module.weight[seed])
                    if module.bias is not None:
                        layer.bias.copy_(module.bias[seed])
                layers.append(layer)
            case ours.ReLU():
                layers.append(nn.ReLU())
            case ours.Tanh():
                layers.append(nn.Tanh())
            case ours.Sigmoid():
                layers.append(nn.Sigmoid())
            case _:
                raise TypeError(f"there is no PyTorch twin of {module}")
    return nn.Sequential(*layers)


def criterion_like(loss: ours.Loss) -> Criterion:
    """Return the PyTorch loss with the formula and the scale of `loss`, for one network."""
    kind = {ours.LossMSE: nn.MSELoss, ours.LossCrossEntropy: nn.CrossEntropyLoss}[type(loss)]
    if loss.reduction != "sample":
        criterion: Criterion = kind(reduction=loss.reduction)
        return criterion
    total = kind(reduction="sum")

    def per_sample(output: Tensor, target: Tensor) -> Tensor:
        loss: Tensor = total(output, target)
        return loss / len(output)

    return per_sample


def gradients(
    network: ours.Network, loss: ours.Loss, batches: Sequence[tuple[Tensor, Tensor]]
) -> list[Tensor]:
    """Return autograd's gradients of the loss on each seed's batch, stacked over seeds."""
    criterion = criterion_like(loss)
    per_seed = []
    for seed, (inputs, target) in enumerate(batches):
        net = twin(network, seed)
        criterion(net(inputs), target).backward()
        per_seed.append([p.grad for p in net.parameters() if p.grad is not None])
    return [torch.stack(same) for same in zip(*per_seed, strict=True)]


class Loop:
    """One network of a stack, trained as is usual in PyTorch: a loop over batches."""

    def __init__(
        self, network: ours.Network, seed: int, loss: ours.Loss, eta: float, momentum: float
    ) -> None:
        self.net = twin(network, seed)
        self.losses = criterion_like(loss)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=eta, momentum=momentum)

    def train(self, samples: Samples, order: Tensor | None, batch_size: int) -> Tensor:
        """Take the steps of an epoch in the order `(n,)`, and return the last loss."""
        inputs, targets = samples.inputs, samples.targets
        full_batch = [slice(None)]  # all samples, as they stand
        for batch in full_batch if order is None else order.split(batch_size):
            self.optimizer.zero_grad()
            loss = self.losses(self.net(inputs[batch]), targets[batch])
            loss.backward()
            self.optimizer.step()
        return loss.detach()

    def weights(self) -> State:
        """Return what is trained."""
        return {name: value.detach() for name, value in self.net.named_parameters()}

    def outputs(self, states: State, inputs: Tensor) -> Tensor:
        """Return the output `(k, n, …)` with each of k weights, stacked."""

        def output(values: State) -> Tensor:
            output: Tensor = torch.func.functional_call(self.net, values, (inputs,))
            return output

        if len(next(iter(states.values()))) == 1:  # as a user of PyTorch would
            return output({name: value[0] for name, value in states.items()}).unsqueeze(0)
        outputs: Tensor = torch.func.vmap(output)(states)
        return outputs


class Ensemble:
    """All networks of a stack at once, as torch.func's tutorial on model ensembling does it."""

    def __init__(
        self, network: ours.Network, seeds: int, loss: ours.Loss, eta: float, momentum: float
    ) -> None:
        nets = [twin(network, seed) for seed in range(seeds)]
        self.values, _ = torch.func.stack_module_state(nets)
        skeleton = copy.deepcopy(nets[0]).to("meta")
        self._forward = torch.func.vmap(
            lambda values, x: torch.func.functional_call(skeleton, values, (x,))
        )
        self.losses: Criterion = torch.func.vmap(criterion_like(loss))
        self.optimizer = torch.optim.SGD(self.values.values(), lr=eta, momentum=momentum)

    def train(self, samples: Samples, order: Tensor | None, batch_size: int) -> Tensor:
        """Take the steps of an epoch in the order `(seeds, n)`, and return the last losses."""
        inputs, targets = samples.inputs, samples.targets
        if order is not None:
            inputs, targets = samples.in_order(order)
        for x, target in zip(
            inputs.split(batch_size, 1), targets.split(batch_size, 1), strict=True
        ):
            self.optimizer.zero_grad()
            losses = self.losses(self._forward(self.values, x), target)
            losses.sum().backward()  # each network's gradient is that of its own loss
            self.optimizer.step()
        return losses.detach()

    def weights(self) -> State:
        """Return what is trained, stacked over seeds."""
        return {name: value.detach() for name, value in self.values.items()}

    def outputs(self, states: State, inputs: Tensor) -> Tensor:
        """Return the outputs `(k, seeds, n, …)` with each of k weights, on each seed's inputs."""
        outputs: Tensor = torch.func.vmap(self._forward, (0, None))(states, inputs)
        return outputs


def fit(
    network: ours.Network,
    loss: ours.Loss,
    momentum: float,
    data: Dataset,
    seeds: Sequence[int],
    *,
    epochs: int,
    eta: float,
    batch_size: int | None,
    eval_every: int,
    at_once: bool = False,
    on_epoch: Callable[[int, int], None] | None = None,
    on_seed: OnSeed | None = None,
    done: Checkpoint | None = None,
) -> Checkpoint:
    """Train a twin of each network of the stack, in PyTorch, one after another or `at_once`.

    The meaning of the other arguments is that of `minifw.training.fit`; batches are drawn in the
    order that belongs to each seed where there is a `batch_size`. `on_epoch` is called with the
    position of the seed (0 for all at once) and the number of the epoch. One after another,
    `on_seed` is called after each seed with the number of those that are done and a function
    that returns them; given that as `done`, a later call goes on with the next seed.
    """
    samples = data.train.labels.shape[1]

    def trained(learner: Loop | Ensemble, position: int, which: int | slice) -> Checkpoint:
        drawn = BatchOrder(list(seeds) if at_once else [seeds[position]], samples)
        history = _epochs(
            learner,
            data.train.of(which),
            data.test.of(which),
            epochs,
            batch_size,
            None if batch_size is None else lambda: drawn()[slice(None) if at_once else 0],
            eval_every,
            None if on_epoch is None else partial(on_epoch, position),
        )
        weights = {name: value.clone().cpu() for name, value in learner.weights().items()}
        return Checkpoint(weights, history)

    if at_once:
        return trained(Ensemble(network, len(seeds), loss, eta, momentum), 0, slice(None))
    stacks = [] if done is None else [done]
    for position in range(0 if done is None else len(done.history.diverged), len(seeds)):
        learner = Loop(network, position, loss, eta, momentum)
        stacks.append(_as_stack(trained(learner, position, position)))
        if len(stacks) == WAITING:  # thousands of arrays of one number are large
            stacks = [Checkpoint.joined(stacks)]
        if on_seed is not None:
            on_seed(position + 1, partial(Checkpoint.joined, list(stacks)))
    return Checkpoint.joined(stacks)


def _epochs(
    learner: Loop | Ensemble,
    train: Samples,
    test: Samples,
    epochs: int,
    batch_size: int | None,
    next_order: Callable[[], Tensor] | None,
    eval_every: int,
    on_epoch: Callable[[int], None] | None,
) -> History:
    history = History.of(tuple(train.labels.shape[:-1]))
    batch_size = batch_size or train.labels.shape[-1]
    waiting = {0: _copy(learner.weights())}  # weights to be evaluated, by their epochs
    numbers = sum(value.numel() for value in waiting[0].values())
    at_once = max(1, SAMPLES_AT_ONCE // max(train.labels.numel(), test.labels.numel()))

    def evaluate() -> None:
        for first in range(0, len(waiting), at_once):
            some = islice(waiting.items(), first, first + at_once)
            _evaluate(learner, dict(some), train, test, history)
        waiting.clear()

    unseen: list[Tensor] = []  # losses since the last look, of the epochs up to this one
    for epoch in range(1, epochs + 1):
        started = clock(train)
        order = None if next_order is None else next_order().to(train.labels.device)
        unseen.append(learner.train(train, order, batch_size))
        stepped = clock(train)
        history.seconds += stepped - started
        history.epoch = epoch
        ended = epoch == epochs
        if ended or epoch % eval_every == 0 or len(unseen) == WAITING:
            ended |= _all_diverged(unseen, history)
            unseen.clear()
        if ended:
            evaluate()  # so that the last one is evaluated on its own
        if epoch % eval_every == 0 or ended:
            waiting[history.epoch] = _copy(learner.weights())
            if ended or len(waiting) >= min(WAITING, WAITING_NUMBERS // numbers):
                evaluate()
        history.evaluation_seconds += clock(train) - stepped
        if on_epoch is not None:
            on_epoch(epoch)
        if ended:
            break
    return history


def _all_diverged(losses: Sequence[Tensor], history: History) -> bool:
    """Look at the losses of the latest epochs, the last of which is the history's.

    If no network is left, the history ends with the epoch in which the last of them diverged.
    Weights that are not finite while the loss is are found when they are evaluated.
    """
    stacked = torch.stack(list(losses))
    if math.isfinite(stacked.sum()):
        return False
    first = history.epoch - len(losses) + 1
    for epoch, of_epoch in enumerate(stacked, first):
        history.diverge(~finite([of_epoch], of_epoch.shape), epoch)
        if history.all_diverged:
            history.epoch = epoch
            return True
    return False


def _copy(weights: State) -> State:
    return {name: value.clone() for name, value in weights.items()}


@torch.no_grad()
def _evaluate(
    learner: Loop | Ensemble,
    states: Mapping[int, State],
    train: Samples,
    test: Samples,
    history: History,
) -> None:
    """Record loss and errors with each of these weights, given by their epochs."""
    names = next(iter(states.values()))
    stacked = {name: torch.stack([state[name] for state in states.values()]) for name in names}
    output = learner.outputs(stacked, train.inputs)
    losses = torch.func.vmap(learner.losses, (0, None))(output, train.targets)
    gone = ~finite([*stacked.values()], losses.shape)
    values = (
        losses.double().numpy(force=True),
        error_percent(output, train.labels),
        error_percent(learner.outputs(stacked, test.inputs), test.labels),
    )
    for epoch, diverged, *of_epoch in zip(states, gone, *values, strict=True):
        history.diverge(diverged, max(epoch, 1))  # what was never finite shows in the first epoch
        history.record(epoch, *of_epoch)


def _as_stack(single: Checkpoint) -> Checkpoint:
    """Return what a single network leaves as that of a stack of one."""
    history = single.history
    for name in SERIES:
        setattr(history, name, [value.reshape(1) for value in getattr(history, name)])
    history.diverged = history.diverged.reshape(1)
    history.diverged_layer = history.diverged_layer.reshape(1)
    return Checkpoint({name: value.unsqueeze(0) for name, value in single.weights.items()}, history)
