"""The PyTorch twin: the same network, data, weights and batch order, as a PyTorch user trains it.

This is the one file where autograd, `torch.nn` and `torch.optim` are allowed; it exists to be
compared with. One network after another, as is usual in PyTorch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from minifw import nn as ours
from minifw.data import Dataset, Samples, batch_order
from minifw.training import History, error_percent

Criterion = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Reference:
    """What the PyTorch arm leaves: its history and the final weights, both stacked over seeds."""

    history: History
    state: dict[str, Tensor]


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
    on_epoch: Callable[[int, int], None] | None = None,
) -> Reference:
    """Train a twin of each network of the stack, in PyTorch, one after another.

    The meaning of the arguments is that of `minifw.training.fit`; batches are drawn in the order
    that belongs to each seed where there is a `batch_size`. `on_epoch` is called with the
    position of the seed and the number of the epoch.
    """
    histories, states = [], []
    for position, seed in enumerate(seeds):
        net = twin(network, position)
        progress = None if on_epoch is None else _of_seed(on_epoch, position)
        histories.append(
            _fit_one(
                net, criterion_like(loss), momentum, data.train.of(position),
                data.test.of(position), seed, epochs, eta, batch_size, eval_every, progress,
            )
        )  # fmt: skip
        states.append({name: value.detach() for name, value in net.state_dict().items()})
    stacked = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    return Reference(_merged(histories), stacked)


def _fit_one(
    net: nn.Sequential,
    criterion: Criterion,
    momentum: float,
    train: Samples,
    test: Samples,
    seed: int,
    epochs: int,
    eta: float,
    batch_size: int | None,
    eval_every: int,
    on_epoch: Callable[[int], None] | None,
) -> History:
    optimizer = torch.optim.SGD(net.parameters(), lr=eta, momentum=momentum)
    history = History(diverged=np.array(-1))
    next_order = batch_order([seed], len(train.labels))
    _evaluate(net, criterion, train, test, 0, history)
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        if batch_size is None:
            optimizer.zero_grad()
            loss = criterion(net(train.inputs), train.targets)
            loss.backward()
            optimizer.step()
        else:
            for batch in next_order()[0].split(batch_size):
                optimizer.zero_grad()
                loss = criterion(net(train.inputs[batch]), train.targets[batch])
                loss.backward()
                optimizer.step()
        stepped = time.perf_counter()
        history.seconds += stepped - started
        if not all(v.isfinite().all() for v in (loss, *net.parameters())):
            history.diverged = np.array(epoch)
        ended = epoch == epochs or bool(history.diverged >= 0)
        if epoch % eval_every == 0 or ended:
            _evaluate(net, criterion, train, test, epoch, history)
        history.evaluation_seconds += time.perf_counter() - stepped
        if on_epoch is not None:
            on_epoch(epoch)
        if ended:
            break
    return history


@torch.no_grad()
def _evaluate(
    net: nn.Sequential, criterion: Criterion, train: Samples, test: Samples, epoch: int,
    history: History,
) -> None:  # fmt: skip
    output = net(train.inputs)
    history.record(
        epoch,
        criterion(output, train.targets).double().numpy(),
        error_percent(output, train.labels),
        error_percent(net(test.inputs), test.labels),
    )


def _of_seed(on_epoch: Callable[[int, int], None], position: int) -> Callable[[int], None]:
    return lambda epoch: on_epoch(position, epoch)


def _merged(histories: Sequence[History]) -> History:
    """Return one history over all seeds; those that ended early are NaN from there on."""
    longest = max(histories, key=lambda history: len(history.epochs))
    merged = History(
        epochs=longest.epochs,
        diverged=np.array([int(history.diverged) for history in histories]),
        seconds=sum(history.seconds for history in histories),
        evaluation_seconds=sum(history.evaluation_seconds for history in histories),
    )
    for name in ("train_loss", "train_error", "test_error"):
        columns = [
            np.array([*map(float, values), *[np.nan] * (len(longest.epochs) - len(values))])
            for values in (getattr(history, name) for history in histories)
        ]
        setattr(merged, name, list(np.stack(columns, 1)))
    return merged
