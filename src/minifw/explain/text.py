"""What is said of an explained step: in a terminal and on a page."""

from __future__ import annotations

from minifw.explain.model import Explained
from minifw.nn.differences import TOLERANCE


def title(found: Explained) -> str:
    """Return what is explained, in a sentence without its full stop."""
    when = (
        "the initial weights"
        if found.step == 0
        else f"the weights after {found.step} step{'s' * (found.step > 1)}"
    )
    return (
        f"{found.config}, seed {found.seed}: one step from {when}, on the first {found.samples} "
        f"training sample{'s' * (found.samples > 1)}, in float64"
    )


def conclusion(found: Explained) -> str:
    """Return how gradients and differences agree, in a sentence."""
    if not found.finite:
        return (
            "Not all numbers of this step are finite, so that gradients cannot be compared: the "
            "network has diverged; --step shows an earlier step, and a smaller train.eta may help."
        )
    every = found.gradients
    compared, kinks = sum(one.compared for one in every), sum(one.kinks for one in every)
    wrong = [one for one in every if not one.error <= TOLERANCE]
    text = f"{compared} numbers of {len(every)} gradients are shown beside central differences: "
    if wrong:
        worst = max(wrong, key=lambda one: one.error)
        text += (
            f"{len(wrong)} gradients differ, {worst.numbers.name} by {worst.error:.0e}; "
            f"minifw gradcheck {found.config} says more."
        )
    else:
        text += f"all are equal to a relative error of {TOLERANCE:g}."
    if kinks:
        text += f" {kinks} more lie on a kink, where there is no derivative."
    return text
