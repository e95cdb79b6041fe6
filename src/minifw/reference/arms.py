"""The PyTorch twin: the same network, data, weights and batch order, as a PyTorch user trains it.

This is the one file where autograd, `torch.nn` and `torch.optim` are allowed; it exists to be
compared with. `Loop` trains one network after another, as is usual in PyTorch; `Ensemble` trains
them at once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from minifw import nn as ours
from minifw.data.dataset import BatchOrder, Dataset, Samples
from minifw.training.checkpoint import Checkpoint
from minifw.training.evaluation import error_percent, evaluate, finite
from minifw.training.history import SERIES, Floats, History
from minifw.training.loop import clock
from minifw.training.placement import seeds_in_memory

Criterion = Callable[[Tensor, Tensor], Tensor]
State = dict[str, Tensor]
"""Weights and biases by their names in an nn.Sequential."""

# A single small network is little work for many calls. So weights wait until as many are there as
# this memory holds in an evaluation: 16 of `simplenet` at once take 0.6 of the time, and more take
# more, for the cache is full.
AT_ONCE_BYTES = 20 * 2**20
# So many losses wait to be looked at together, and so many seeds to be joined.
WAITING = 64


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
    """One network of a stack, trained as is usual in PyTorch: a loop over batches.

    `weights` are the memory that is trained.
    """

    def __init__(
        self, network: ours.Network, seed: int, loss: ours.Loss, eta: float, momentum: float
    ) -> None:
        self.net = twin(network, seed)
        self.losses = criterion_like(loss)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=eta, momentum=momentum)
        self.weights = {name: value.detach() for name, value in self.net.named_parameters()}

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

    def output(self, inputs: Tensor) -> Tensor:
        """Return the output `(n, …)` for these inputs."""
        output: Tensor = self.net(inputs)
        return output


class Ensemble:
    """All networks of a stack at once, as torch.func's tutorial on model ensembling does it.

    `weights`, stacked over seeds, are the memory that is trained.
    """

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
        self.weights = {name: value.detach() for name, value in self.values.items()}

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

    def output(self, inputs: Tensor) -> Tensor:
        """Return the outputs `(seeds, n, …)` for each seed's inputs."""
        outputs: Tensor = self._forward(self.values, inputs)
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
    rows = max(samples, data.test.labels.shape[1])
    most = seeds_in_memory(network, len(seeds), rows, AT_ONCE_BYTES)
    snapshots = _Snapshots(network, loss, most // len(seeds) if at_once else most)

    def trained(learner: Loop | Ensemble, position: int, which: int | slice) -> Checkpoint:
        drawn = BatchOrder(list(seeds) if at_once else [seeds[position]], samples)
        history = _epochs(
            learner,
            snapshots,
            data.train.of(which),
            data.test.of(which),
            epochs,
            batch_size,
            None if batch_size is None else lambda: drawn()[slice(None) if at_once else 0],
            eval_every,
            None if on_epoch is None else partial(on_epoch, position),
        )
        weights = {name: value.clone().cpu() for name, value in learner.weights.items()}
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


class _Snapshots:
    """Weights of past epochs, kept until `most` of them are there, and evaluated by minifw."""

    def __init__(self, network: ours.Network, loss: ours.Loss, most: int) -> None:
        self.network, self.loss, self.most = network, loss, most
        self.buffers = ours.Buffers()
        self.weights: dict[int, list[Tensor]] = {}  # by their epochs

    def add(self, epoch: int, weights: State) -> None:
        self.weights[epoch] = [value.clone() for value in weights.values()]

    def evaluate(self, train: Samples, test: Samples, history: History) -> None:
        """Record how good they are, and keep them no longer."""
        if not self.weights:
            return
        stacked = [torch.stack(same) for same in zip(*self.weights.values(), strict=True)]
        values = evaluate(
            self.network.with_parameters(stacked),
            self.loss,
            train.repeated(len(self.weights)),
            test.repeated(len(self.weights)),
            self.buffers,
        )
        gone = ~finite(stacked, values[0].shape)
        for epoch, *of_epoch in zip(self.weights, gone, *values, strict=True):
            _record(history, epoch, *of_epoch)
        self.weights.clear()


def _epochs(
    learner: Loop | Ensemble,
    snapshots: _Snapshots,
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

    def look(epoch: int, last: bool) -> None:
        """Evaluate the weights as they are after this epoch: now, or with those that follow.

        The last ones, whose errors the tables hold, go through PyTorch itself.
        """
        now = last or snapshots.most <= 1
        if not now:
            snapshots.add(epoch, learner.weights)
        if now or len(snapshots.weights) == snapshots.most:
            snapshots.evaluate(train, test, history)
        if now:
            _record(history, epoch, *_evaluate(learner, train, test))

    started = clock(train)
    look(0, last=False)
    history.evaluation_seconds = clock(train) - started
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
        if ended or epoch % eval_every == 0:
            look(history.epoch, ended)
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


@torch.no_grad()
def _evaluate(
    learner: Loop | Ensemble, train: Samples, test: Samples
) -> tuple[NDArray[np.bool_], Floats, Floats, Floats]:
    """Return which networks have diverged, loss and errors, all of it by PyTorch alone."""
    output = learner.output(train.inputs)
    losses: Tensor = learner.losses(output, train.targets)
    return (
        ~finite([*learner.weights.values()], losses.shape),
        losses.double().numpy(force=True),
        error_percent(output, train.labels),
        error_percent(learner.output(test.inputs), test.labels),
    )


def _record(
    history: History,
    epoch: int,
    gone: NDArray[np.bool_],
    loss: Floats,
    train_error: Floats,
    test_error: Floats,
) -> None:
    history.diverge(gone, max(epoch, 1))  # what was never finite shows in the first epoch
    history.record(epoch, loss, train_error, test_error)


def _as_stack(single: Checkpoint) -> Checkpoint:
    """Return what a single network leaves as that of a stack of one."""
    history = single.history
    for name in SERIES:
        setattr(history, name, [value.reshape(1) for value in getattr(history, name)])
    history.diverged = history.diverged.reshape(1)
    history.diverged_layer = history.diverged_layer.reshape(1)
    return Checkpoint({name: value.unsqueeze(0) for name, value in single.weights.items()}, history)
