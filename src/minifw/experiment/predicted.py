"""What one network of a regression predicts: the content of predicted.npz."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from minifw.experiment.build import build_network
from minifw.experiment.decision import median_seed, samples_of_seed
from minifw.experiment.plan import Experiment
from minifw.experiment.results import Trained
from minifw.nn.module import in_mode

MOST = 2000
"""Test samples that are kept, at most."""


def predicted(last: Experiment, trained: Trained) -> bytes:
    """Return the content of predicted.npz: for each mode, one network's predictions.

    It is the network whose test error is nearest to the median over the seeds. `last` is the group
    of seeds in memory; a seed of another group is drawn again. For each mode there are

        true, predicted     `(samples, targets)`: of the test samples, in the targets' own unit
        seed, error         which network it is, and its test error
    """
    plan = last.plan
    config = plan.config.model_copy(update={"device": "cpu"})
    network = build_network(config, [config.seed], len(plan.features))  # weights are loaded below
    arrays: dict[str, Any] = {}
    for mode, arms in trained.items():
        errors = arms["minifw"].history.final("test_error")
        place = median_seed(errors)
        if place is None:
            continue
        seed = plan.seeds[place]
        data = samples_of_seed(last, seed)
        weights = arms["minifw"].weights
        network.load_state_dict({name: v[place : place + 1].cpu() for name, v in weights.items()})
        inputs, targets = (part[:, :MOST].cpu() for part in (data.test.inputs, data.test.targets))
        with in_mode(network, training=False):
            output = network.forward(inputs)
        output, targets = map(data.test.measured, (output, targets))
        shift, scale = data.target_shift[0], data.target_scale[0]
        found = {
            "true": targets[0].double().numpy() * scale + shift,
            "predicted": output[0].double().numpy() * scale + shift,
            "seed": np.array(seed),
            "error": np.array(errors[place]),
        }
        arrays |= {f"{mode}/{name}": array for name, array in found.items()}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
