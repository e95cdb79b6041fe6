"""The claims that minifw tests for its own modules and losses, as checks for a user's.

    from minifw.nn import checks

    @checks.parametrize(checks.module_checks(lambda stack: PReLU(stack=stack), [(5, 4)]))
    def test_prelu(check):
        check()

Each claim becomes a test; `check_module` and `check_loss` run all claims at once. A claim that
fails raises a `CheckError` that says which number of which tensor is wrong and, where possible,
why.
"""

from minifw.nn.checks.calls import Stack
from minifw.nn.checks.claims import (
    Check,
    check_loss,
    check_module,
    loss_checks,
    module_checks,
    parametrize,
)
from minifw.nn.checks.equality import check_equal
from minifw.nn.checks.subject import REDUCTIONS, STACKS, MakeLoss, MakeModule

__all__ = [
    "REDUCTIONS",
    "STACKS",
    "Check",
    "MakeLoss",
    "MakeModule",
    "Stack",
    "check_equal",
    "check_loss",
    "check_module",
    "loss_checks",
    "module_checks",
    "parametrize",
]
