"""The course: our solutions pass, planted mistakes fail and are named, and nothing breaks another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import ROOT, Minifw
from documents import blocks
from minifw import nn
from minifw.course import apart, grading, solving, syllabus
from minifw.course import folder as folders
from minifw.course.exercise import EXERCISES, Exercise
from minifw.course.syllabus import OURS
from minifw.errors import UsageError

OF = {name: Exercise.read(EXERCISES / f"{name}.py") for name in OURS}


def graded(exercise: Exercise, source: str, folder: Path) -> grading.Grade:
    path = folder / f"{exercise.name}.py"
    path.write_text(source)
    return grading.grade(exercise, path)


# ------------------------------------------------------------------------------ right and blank


@pytest.mark.parametrize("name", OURS)
def test_our_solution_passes_and_a_blank_is_not_begun(name: str, tmp_path: Path) -> None:
    exercise = OF[name]
    assert graded(exercise, exercise.solution, tmp_path) == grading.Grade(name, "done")
    assert graded(exercise, exercise.blank, tmp_path) == grading.Grade(name, "not begun")


@pytest.mark.parametrize("name", OURS)
def test_a_blank_shows_neither_solution_nor_checks(name: str) -> None:
    exercise = OF[name]
    assert exercise.blank.count("...  # your code") == len(exercise.blanks) >= 1
    assert "check_" not in exercise.blank + exercise.solution
    assert "MISTAKES" not in exercise.blank + exercise.solution
    assert "IN_MINIFW" not in exercise.blank + exercise.solution
    assert "# ---" not in exercise.blank + exercise.solution
    assert 35 <= len(exercise.text.splitlines()) <= 75  # about two screens
    assert "**What usually goes wrong**" in exercise.text
    assert "**By hand.**" in exercise.text


@pytest.mark.parametrize("name", OURS)
def test_what_minifw_runs_is_shown_beside(name: str) -> None:
    shown = solving.in_minifw(OF[name])
    assert shown
    for where, code in shown:
        file = Path("src/minifw") / "/".join(where.removeprefix("minifw.").split(".")[:2])
        source = (EXERCISES.parents[3] / file).with_suffix(".py")
        if source.exists():  # losses and optimizers are packages
            first = code.strip().splitlines()[0]
            assert first in source.read_text()


class Twice(nn.Network):
    def __init__(self, size: int, stack: tuple[int, ...] = ()) -> None:
        self.linear, self.tanh = nn.Linear(size, size, bias=False, stack=stack), nn.Tanh()
        self.register_modules(self.linear, self.tanh)

    def forward(self, x: Any) -> Any:
        return self.tanh(self.linear(self.tanh(self.linear(x))))


class Residual(Twice):
    def forward(self, x: Any) -> Any:
        return x + self.tanh(self.linear(x))


def _chain(modules: list[nn.Module], gradient: Tensor) -> Any:
    chain = nn.Sequential(*modules)
    x = modules[0].input
    assert isinstance(x, Tensor)
    chain.forward(x)
    return chain.backward(gradient)


def _held(w: Tensor, g: Tensor) -> nn.Module:
    module = nn.Module()
    module.register_parameter("w", w)
    module.w_grad.copy_(g)
    return module


def _sgd(w: Tensor, g: Tensor, v: Tensor, eta: float, mu: float) -> None:
    optimizer = nn.SGD(_held(w, g), momentum=mu)
    optimizer.state["w"] = v
    optimizer.step(eta)


def _adam(
    w: Tensor, g: Tensor, m: Tensor, v: Tensor, t: int, eta: float, b1: float, b2: float, eps: float
) -> None:
    optimizer = nn.Adam(_held(w, g), b1, b2, eps)
    optimizer.state |= {"w.mean": m, "w.square": v}
    for name, beta in (("1.mean", b1), ("1.square", b2)):
        optimizer.state[name].fill_(1 - beta ** (t - 1))
    optimizer.step(eta)


def _he(inputs: int, outputs: int, generator: np.random.Generator) -> Tensor:
    shape = outputs, inputs
    return torch.from_numpy(nn.KaimingNormal().draw_weight(generator, shape, inputs, outputs))


MINIFWS: dict[str, dict[str, Any]] = {
    "linear": {"Linear": nn.Linear},
    "activation": {"ReLU": nn.ReLU, "Tanh": nn.Tanh},
    "chain": {"backward": _chain},
    "mse": {"MSE": nn.LossMSE},
    "cross_entropy": {"CrossEntropy": nn.LossCrossEntropy},
    "shared": {"Twice": Twice},
    "residual": {"Residual": Residual},
    "momentum": {"step": _sgd},
    "adam": {"step": _adam},
    "he": {"he_normal": _he},
    "convolution": {
        "Conv1d": lambda c, o, k, p, **more: nn.Conv1d(c, o, k, padding=p, **more),
    },
}


@pytest.mark.parametrize("name", OURS)
def test_what_minifw_itself_runs_passes_the_same_checks(name: str) -> None:
    """So a solution cannot drift from the framework."""
    for _, check in OF[name].checks():
        check(SimpleNamespace(**MINIFWS[name]))


# ------------------------------------------------------------------------------ planted mistakes

# exercise, what stands in our solution, what is planted, what the message must say, and whether
# that is the kind of mistake; for those with False the message has no more than place and numbers.
MISTAKES: list[tuple[str, str, str, str, bool]] = [
    ("linear", "gradient.sum(-2)", "gradient.mean(-2)", "1 / the number of samples: a mean where a sum is meant", True),
    ("linear", "self.weight_grad += ", "self.weight_grad = ", "backward must add to it, and overwrites it", True),
    ("linear", "gradient @ self.weight\n", "-gradient @ self.weight\n", "of the input .* the sign is wrong", True),
    ("linear", "gradient.mT @ x", "2 * gradient.mT @ x", "'weight' .* it is 2 times the right one", True),
    ("linear", "gradient @ self.weight\n", "gradient @ self.weight.mT\n", "transposed", True),
    ("linear", "gradient.sum(-2)", "gradient.sum(-1)", "a sum over the wrong axis", True),
    ("linear", "gradient.sum(-2)", "gradient[..., 0, :]", "that of the first sample alone: the sum over samples is missing", True),
    ("linear", "gradient.sum(-2)", "gradient.sum(0)", "a sum over the wrong axis", True),
    ("linear", "        self.weight_grad += gradient", "        x *= 2\n        self.weight_grad += gradient", "the input after backward .* must not change a tensor that it did not make", True),
    ("linear", "        self.bias_grad += gradient.sum(-2)\n", "", "'bias' .* backward gives 0 everywhere; perhaps it never adds", True),
    ("activation", "torch.where(x > 0, gradient, 0)", "gradient", "it is dL/dy as it came in: the derivative of the module is missing", True),
    ("activation", "torch.where(x > 0, gradient, 0)", "gradient.mul_(x > 0)", "the gradient after backward .* must not change a tensor that it did not make", True),
    ("activation", "torch.where(x > 0, gradient, 0)", "torch.where(x >= 0, gradient, 0)", "the gradient at x = 0 must be 0", True),
    ("activation", "torch.where(x > 0, gradient, 0)", "gradient.clamp(min=0)", "the condition is on the gradient, and must be on x", True),
    ("activation", "gradient * (1 - y * y)", "1 - y * y", "it is the derivative alone, which is still to be multiplied by dL/dy", True),
    ("activation", "gradient * (1 - y * y)", "gradient * (1 - x * x)", "it is 1 - x², and must be 1 - y²", True),
    ("chain", "in reversed(modules):", "in modules:", "gone through forwards, from the first to the last", True),
    ("chain", "in reversed(modules):", "in reversed(modules[1:]):", "the first module is left out", True),
    ("chain", "gradient = module.backward(gradient)\n    return gradient", "last = module.backward(gradient)\n    return last", "each module was given dL/dy, and not what the one behind it returned", True),
    ("chain", "    for module in reversed(modules):", "    modules.reverse()\n    for module in modules:", "must not turn round the list of modules itself", True),
    ("mse", "2 / (samples * outputs)", "1 / (samples * outputs)", "the 2 of the derivative is missing", True),
    ("mse", "2 / (samples * outputs)", "2 / samples", "divided by the number of samples alone", True),
    ("mse", "2 / (samples * outputs)", "2", "the number of samples · outputs: a sum where a mean is meant", True),
    ("mse", "(output - target)\n", "(target - output)\n", "the sign is wrong", True),
    ("mse", ".mean((-2, -1))", ".mean()", "one value for each network", True),
    ("mse", ".square().mean((-2, -1))", ".square().sum((-2, -1))", "a sum where a mean is meant", True),
    ("cross_entropy", " / samples", "", "1 / the number of samples is missing", True),
    ("cross_entropy", "torch.softmax(output, -1)", "torch.softmax(output, -2)", "softmax runs over samples, and must run over classes", True),
    ("cross_entropy", "(torch.softmax(output, -1) - one_hot)", "torch.softmax(output, -1)", "the target is not subtracted", True),
    ("cross_entropy", "torch.logsumexp(output, -1)", "output.exp().sum(-1).log()", "overflows for logits of 1000: subtract the largest", True),
    ("cross_entropy", "torch.softmax(output, -1)", "(output.exp() / output.exp().sum(-1, keepdim=True))", "overflows for logits of 1000: subtract the largest", True),
    ("shared", "        self.weight_grad += of_a.mT @ x\n", "", "the second use alone: that of the first is missing", True),
    ("shared", "        self.weight_grad += of_b.mT @ h\n", "", "the first use alone: that of the second is missing", True),
    ("shared", "self.weight_grad += of_a", "self.weight_grad = of_a", "the first use alone: that of the second is missing|overwrites it", True),
    ("shared", "(of_b @ self.weight) * (1 - h * h)", "of_b @ self.weight", "the tanh between both uses, 1 - h², is missing", True),
    ("shared", "gradient * (1 - y * y)", "gradient.mul_(1 - y * y)", "the gradient after backward .* must not change", True),
    ("residual", "gradient + of_a @ self.weight", "of_a @ self.weight", "the identity is missing", True),
    ("residual", "gradient + of_a @ self.weight", "gradient.add_(of_a @ self.weight)", "the gradient after backward .* must not change", True),
    ("residual", "gradient * (1 - h * h)", "gradient", "the derivative of tanh, 1 - h², is missing", True),
    ("residual", "gradient + of_a @ self.weight", "gradient + of_a @ self.weight.mT", "the weight is transposed", True),
    ("momentum", "w.sub_(eta * v)", "w = w - eta * v", "makes a new tensor|a new tensor", True),
    ("momentum", "w.sub_(eta * v)", "w.add_(eta * v)", "the sign is wrong: it goes uphill", True),
    ("momentum", "v.mul_(mu).add_(g)", "v.copy_(g)", "overwritten by the gradient, so it remembers nothing", True),
    ("momentum", "add_(g)", "add_(eta * g)", "the learning rate acts twice", True),
    ("momentum", "v.mul_(mu).add_(g)", "v.copy_(g.add_(mu * v))", "the gradient after a step, which must not be changed in place", True),
    ("adam", "m / (1 - beta1**t)", "m", "only v has a bias correction, m has none", True),
    ("adam", "(v_hat.sqrt() + eps)", "(v_hat + eps).sqrt()", "ε is inside of the root", True),
    ("adam", "(1 - beta2) * g * g", "(1 - beta2) * g", "g is not squared in v", True),
    ("adam", "m.mul_(beta1).add_((1 - beta1) * g)", "m.mul_(beta2).add_((1 - beta2) * g)", "m is averaged with β₂, and must be with β₁", True),
    ("adam", "m.mul_(beta1)", "m.zero_()", "m is overwritten: β₁ m is missing", True),
    ("he", "(2 / inputs) ** 0.5", "2 / inputs", "the root is missing", True),
    ("he", "(2 / inputs) ** 0.5", "(2 / outputs) ** 0.5", "the number of outputs is taken for that of inputs", True),
    ("he", "(2 / inputs) ** 0.5", "(1 / inputs) ** 0.5", "the 2 is missing", True),
    ("he", "(outputs, inputs)))", "(inputs, outputs)))", "it is transposed", True),
    ("he", "generator.standard_normal((outputs, inputs))", "np.random.default_rng().standard_normal((outputs, inputs))", "draw from the given generator alone", True),
    ("convolution", "y + self.weight[..., i]", "y + self.weight[..., self.kernel - 1 - i]", "the kernel is flipped", True),
    ("convolution", "self.weight_grad[..., i] +=", "self.weight_grad[..., self.kernel - 1 - i] +=", "the kernel is flipped|flipped", True),
    ("convolution", "whole = self.padded(x)\n        places", "whole = x\n        places", "the padding is ignored", True),
    ("convolution", "of_whole[..., i : i + places] +=", "of_whole[..., i : i + places] =", "overwritten where the slices overlap", True),
    ("convolution", "gradient.sum((-3, -1))", "gradient.mean(-1).sum(-2)", "it is the mean over places, and must be the sum", True),
    ("convolution", "(gradient @ met.mT).sum(-3)", "(gradient @ met.mT)[..., 0, :, :]", "that of the first sample", True),
    ("linear", "gradient.mT @ x", "(gradient * gradient).mT @ x", "'weight' at .* by finite differences", False),
    ("activation", "gradient * (1 - y * y)", "gradient * (1 - y ** 4)", "the input at .* by finite differences", False),
    ("mse", "(output - target)\n", "(output - target).abs()\n", "MSE.grad at .* expected", False),
    ("cross_entropy", "torch.softmax(output, -1)", "torch.sigmoid(output)", "grad at .* expected", False),
    ("momentum", "v.mul_(mu)", "v.mul_(mu * mu)", "the velocity after 4 steps at .* expected|the weight after 4 steps at .* expected", False),
    ("adam", "beta2**t", "beta2 * t", "the weight after 3 steps at .* expected", False),
    ("residual", "of_a.mT @ x", "of_a.mT @ h", "'weight' at .* by finite differences", False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "ours", "wrong", "words"),
    [mistake[:4] for mistake in MISTAKES],
    ids=[f"{n}-{mistake[0]}" for n, mistake in enumerate(MISTAKES)],
)
def test_a_planted_mistake_fails_with_its_message(
    name: str, ours: str, wrong: str, words: str, tmp_path: Path
) -> None:
    exercise = OF[name]
    assert exercise.solution.count(ours) == 1
    grade = graded(exercise, exercise.solution.replace(ours, wrong), tmp_path)
    assert grade.state == "wrong"
    told = "\n".join(grade.faults)
    assert re.search(words, told), told
    assert all(re.match(rf"{name}\.py:\d+: ", line) for line in grade.faults)


def test_enough_mistakes_are_planted_and_most_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    named = sum(mistake[4] for mistake in MISTAKES)
    with capsys.disabled():
        print(f"\n{len(MISTAKES)} mistakes planted, {named} named by their message")
    assert len(MISTAKES) >= 30
    assert named >= max(24, 0.8 * len(MISTAKES))
    assert all(sum(mistake[0] == name for mistake in MISTAKES) >= 3 for name in OURS)


# ------------------------------------------------------------------------- whatever a file holds


def linear_with(body: str) -> str:
    return OF["linear"].blank.replace("...  # your code", body)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (linear_with("return gradient @ self.weight)"), r"linear.py:82: SyntaxError: unmatched"),
        (linear_with("return gradient @ self.wieght"), r"linear.py:82: AttributeError: .*wieght"),
        (linear_with("return gradient.mT @ self.weight"), r"linear.py:82: RuntimeError: .*; is one of them to be transposed, .mT\?"),
        (linear_with("pass"), r"linear.py:79: Linear\(\): backward must return a tensor .* got NoneType"),
        (linear_with("return gradient"), r"linear.py:79: Linear\(\): the gradient of the input must have its shape \(5, 4\), got \(5, 3\)"),
        (linear_with("raise SystemExit"), r"linear.py:82: SystemExit"),
        (linear_with("return self.backward(gradient)"), r"linear.py:8\d: RecursionError: a function calls itself"),
        (linear_with("assert gradient.sum() == 0, 'hm'"), "linear.py:82: hm"),
        ("from nowhere import nothing\n" + linear_with("pass"), "linear.py:52: SyntaxError: from __future__"),
        (linear_with("import nowhere"), "linear.py:82: ModuleNotFoundError: No module named 'nowhere'"),
        ("", "linear.py: Linear.backward is missing; `minifw course solve` shows"),
        (linear_with("pass").replace("def backward", "def backwards"), "linear.py: Linear.backward is missing"),
        (linear_with("pass").replace("def forward", "def forwards"), r"Linear does not define forward"),
        ("\x00", "linear.py: "),
        ("(" * 100_000, "linear.py"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_told_in_a_line(
    source: str, words: str, tmp_path: Path
) -> None:
    grade = graded(OF["linear"], source, tmp_path)
    assert grade.state == "wrong"
    assert re.match(words, grade.faults[0]) or re.search(words, "\n".join(grade.faults))
    assert len(grade.faults) <= 6
    assert not any("Traceback" in line or "\n" in line for line in grade.faults)


def test_a_part_that_is_blank_still_is_told(tmp_path: Path) -> None:
    half = OF["mse"].blank.replace("...  # your code", "return output.sum()", 1)
    grade = graded(OF["mse"], half, tmp_path)
    assert grade.state == "begun"
    assert grade.faults == ("mse.py:60: MSE.grad is still to be written",)


def test_dots_that_stand_beside_code_are_told(tmp_path: Path) -> None:
    blank = OF["linear"].blank
    code = blank.replace("...  # your code", "...\n        return gradient @ self.weight")
    grade = graded(OF["linear"], code, tmp_path)
    assert (grade.state, grade.notes) == ("begun", ())
    (fault,) = grade.faults
    assert re.fullmatch(r"linear.py:\d+: Linear.backward still has its '...': .*", fault)
    code = blank.replace("...  # your code", "self.weight.grad += gradient.mT @ x")
    grade = graded(OF["linear"], code, tmp_path)
    assert "is it PyTorch's .grad? Here it is weight_grad" in grade.faults[0]


def test_a_file_that_is_not_there_is_not_begun(tmp_path: Path) -> None:
    grade = grading.grade(OF["adam"], tmp_path / "adam.py")
    assert grade.state == "not begun"
    assert "minifw course init" in grade.notes[0]


def test_grades_are_the_same_again_and_leave_random_numbers_alone(tmp_path: Path) -> None:
    wrong = linear_with("return 0.3 * gradient @ self.weight + 1e-3 * torch.randn(1)[0]")
    before = torch.random.get_rng_state()
    first, again = (graded(OF["linear"], wrong, tmp_path) for _ in range(2))
    assert first == again
    assert torch.equal(before, torch.random.get_rng_state())


# ---------------------------------------------------------------------- each file in its process

HOSTILE = {
    "linear": linear_with("while True: pass"),
    "activation": OF["activation"].solution.replace("import torch\n", "import torch\nprint('hello\\x1b[2J')\nprint('you')\n"),
    "mse": OF["mse"].solution + "\nimport os\nos._exit(0)\n",
    "shared": OF["shared"].solution + "\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n",
    "residual": OF["residual"].solution + "\nimport torch\ntorch.Tensor.__add__ = None\nimport minifw.nn.checks as c\nc.check_module = None\n",
    "adam": OF["adam"].solution,
    "chain": OF["chain"].solution.replace("    for module in rev", "    x = [0]\n    while True:\n        x = x + x\n    for module in rev"),
    "cross_entropy": OF["cross_entropy"].solution + "\nwhile True:\n    try:\n        pass\n    except BaseException:\n        pass\n",
}  # fmt: skip


def test_no_file_harms_another_nor_the_command(tmp_path: Path) -> None:
    names = [*HOSTILE]
    for name, source in HOSTILE.items():
        (tmp_path / f"{name}.py").write_text(source)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/doubling.py").write_text(TEACHERS.replace("import math", "import maths"))
    teachers = Exercise.read(tmp_path / "own/doubling.py")
    (tmp_path / "doubling.py").write_text(teachers.solution)
    own = tuple(OF[name] for name in names)
    course = syllabus.Course(tmp_path, (*own, teachers), time_limit=1)
    grades = apart.grades(course, course.exercises)
    found = {name: next(grades) for name in names}
    with pytest.raises(UsageError, match=r"own/doubling.py:\d+: ModuleNotFoundError"):
        next(grades)
    states = {name: grade.state for name, grade in found.items()}
    assert states["adam"] == states["activation"] == "done"
    assert found["linear"].faults == ("linear.py:82: did not end within 1 s: an endless loop?",)
    assert found["activation"].notes == (
        "activation.py: printed 2 lines, the first 'hello\\x1b[2J'",
    )
    assert found["mse"].faults == ("mse.py: the process was ended by the file (exit status 0)",)
    assert found["shared"].faults == ("shared.py: the process was ended by the file (signal 9)",)
    assert states["chain"] == "wrong"
    assert re.match(r"chain.py(:\d+)?: (MemoryError|did not end)", found["chain"].faults[0])
    assert "an endless loop?" in found["cross_entropy"].faults[0]


# -------------------------------------------------------------------------- folders and teachers

TEACHERS = '''"""Doubling

Twice as much.
"""

from __future__ import annotations


def double(x: float) -> float:
    """Return 2 x."""
    # --- your code
    return 2 * x
    # --- end


def half(x: float) -> float:
    """Return x / 2."""
    # --- your code
    return x / 2
    # --- end


# --- checks: of a teacher

import math


def check_double(mine):
    for x in 3.0, -1.0, math.pi:
        assert mine.double(x) == double(x), f"double({x:g}) must be {double(x):g}"


def check_half(mine):
    assert mine.half(3) == 1.5, "half(3) must be 1.5"
'''


def teachers_course(folder: Path, *entries: str, source: str = TEACHERS) -> Path:
    (folder / "own").mkdir(parents=True)
    (folder / "own/doubling.py").write_text(source)
    (folder / "course.yaml").write_text("exercises: [" + ", ".join(entries) + "]\n")
    return folder


def test_a_teacher_leaves_out_reorders_and_adds(tmp_path: Path) -> None:
    folder = teachers_course(tmp_path / "class", "mse", "own/doubling.py", "linear")
    course, written = folders.init(folder)
    assert [one.name for one in course.exercises] == ["mse", "doubling", "linear"]
    assert [path.name for path in written] == ["mse.py", "doubling.py", "linear.py"]
    blank = (folder / "doubling.py").read_text()
    assert "check" not in blank
    assert "return" not in blank
    own = course.find("2")
    assert own.title == "Doubling"
    assert own.blanks == ("double", "half")
    assert grading.grade(own, course.file(own)).state == "not begun"
    assert graded(own, own.solution, folder).state == "done"
    wrong = own.solution.replace("2 * x", "x + 3").replace("x / 2", "x / 2 + 1")
    assert graded(own, wrong, folder).faults == (
        "doubling.py:9: double(-1) must be -2",
        "doubling.py:14: half(3) must be 1.5",
    )
    assert folders.init(folder)[1] == []  # nothing is overwritten
    assert (folder / "doubling.py").read_text() == wrong


def test_the_page_shows_an_exercise_and_what_messages_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = ROOT / "docs/course.md"
    shown, program = blocks(page, "python")
    (tmp_path / "doubling.py").write_text(shown)
    exercise = Exercise.read(tmp_path / "doubling.py")
    (tmp_path / "mine").mkdir()
    assert graded(exercise, exercise.blank, tmp_path / "mine").state == "not begun"
    assert graded(exercise, exercise.solution, tmp_path / "mine").state == "done"
    wrong = graded(exercise, exercise.solution.replace("2 *", "3 *"), tmp_path / "mine")
    assert wrong.faults == ("doubling.py:7: double(3.0) must be 6.0, got 9.0",)
    exec(program, {})
    assert capsys.readouterr().out == blocks(page, "text")[1]
    table = dict(re.findall(r"^\| (\d+) \| `(\w+)` \|", page.read_text(), re.MULTILINE))
    assert [*table.values()] == [*OURS]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exercises: [linaer]", r"course.yaml:1:13: exercises.0: there is no exercise 'linaer', .*did you mean 'linear'\?"),
        ("exercises: [linear, linear]", "exercises.1: 'linear' stands here twice"),
        ("exercises: [own/nothing.py]", "exercises.0: there is no file"),
        ("exercises: [3]", "must be the name of an exercise or the path of a Python file, got a number"),
        ("exercises: []", "exercises: must be a list of exercises"),
        ("exercise: [linear]", "exercise: unknown key; did you mean 'exercises'?"),
        ("exercises: [linear]\ntime_limit: 0", "course.yaml:2:13: time_limit: must be seconds above 0"),
        ("exercises: [linear]\ntime_limit: soon", "time_limit: must be seconds above 0"),
        ("- linear", "must be a mapping"),
        ("exercises: [linear", "course.yaml"),
        ("exercises: [own/plain.py]", "plain.py: an exercise must begin with a docstring"),
        ("exercises: [own/checkless.py]", "checkless.py: an exercise must have a line '# --- checks'"),
        ("exercises: [own/full.py]", "full.py: an exercise must have a part of a function between"),
        ("exercises: [own/open.py]", "open.py: '# --- your code' without '# --- end'"),
        ("exercises: [own/broken.py]", "broken.py:1: SyntaxError"),
        ("exercises: [mine.py]", "mine.py is where the learner's file will be"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_a_line(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    for name, source in {
        "own/plain.py": "x = 1",
        "own/checkless.py": '"""A"""\n',
        "own/full.py": '"""A"""\n# --- checks\ndef check_a(mine): pass\n',
        "own/open.py": '"""A"""\ndef f():\n    # --- your code\n    pass\n# --- checks\ndef check_a(mine): pass\n',
        "own/broken.py": "def",
        "mine.py": TEACHERS,
    }.items():  # fmt: skip
        (tmp_path / name).write_text(source)
    (tmp_path / "course.yaml").write_text(text)
    with pytest.raises(UsageError) as caught:
        syllabus.read(tmp_path)
    assert re.search(words, caught.value.lines[0]), caught.value.lines
    assert len(caught.value.lines) == 1 or "exercise:" in text


def test_a_folder_is_begun_only_where_nothing_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "linear.py").write_text("mine")
    with pytest.raises(UsageError, match=r"linear.py: is there already, without a course.yaml"):
        folders.init(tmp_path)
    assert (tmp_path / "linear.py").read_text() == "mine"
    assert not (tmp_path / "course.yaml").exists()
    with pytest.raises(UsageError, match="must be a folder"):
        folders.init(tmp_path / "linear.py")


def test_solve_keeps_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "linear.py"
    assert solving.write(OF["linear"], path) is None
    assert solving.write(OF["linear"], path) is None  # it is the solution already
    path.write_text("mine")
    kept = solving.write(OF["linear"], path)
    assert kept is not None
    assert kept.read_text() == "mine"
    assert path.read_text() == OF["linear"].solution
    path.write_text("another")
    more = solving.write(OF["linear"], path)
    assert more not in (None, kept)
    assert kept.read_text() == "mine"


# --------------------------------------------------------------------------------- the commands


def test_the_commands_on_a_fresh_folder(minifw: Minifw, tmp_path: Path) -> None:
    folder = str(tmp_path / "class")
    assert minifw("course", "init", folder).code == 0
    (tmp_path / "class/course.yaml").write_text("exercises: [he, chain, mse]\n")
    shown = minifw("course", "solve", "1", "--dir", folder)
    assert "He et al." in shown.out
    assert "minifw.nn.initializers.KaimingNormal" in shown.out
    assert (tmp_path / "class/he.py").read_text() == OF["he"].blank
    minifw("course", "solve", "he", "--write", "--dir", folder)
    wrong = OF["mse"].solution.replace("2 / (", "1 / (")
    (tmp_path / "class/mse.py").write_text(wrong)
    done = minifw("course", "check", "--dir", folder)
    assert (done.code, done.err) == (5, "")
    lines = done.out.splitlines()
    assert [line.split()[:3] for line in lines[1:3]] == [["1", "he", "done"], ["2", "chain", "not"]]
    assert re.match(r"3  mse +wrong +mse.py:60: ", lines[3])
    assert "1 of 3 done" in lines[-1]
    assert max(map(len, lines)) <= 80
    done = minifw("course", "check", "mse", "--dir", folder, "--json")
    answer = json.loads(done.out)
    assert (done.code, answer["done"]) == (5, False)
    assert [one["state"] for one in answer["exercises"]] == ["wrong"]
    assert "the 2 of the derivative is missing" in answer["exercises"][0]["faults"][0]
    for name in "chain", "mse":
        minifw("course", "solve", name, "--write", "--dir", folder)
    assert minifw("course", "check", "--dir", folder).code == 0
    assert (tmp_path / "class/mse.1.bak").read_text() == wrong


def test_what_is_asked_wrongly_is_a_line(minifw: Minifw, tmp_path: Path) -> None:
    assert minifw("course", "init", "class", "--json").code == 0
    for wrong in ("check", "12"), ("check", "0"), ("solve", "nothing"):
        done = minifw("course", *wrong, "--dir", "class")
        assert (done.code, done.out) == (2, "")
        assert re.fullmatch(
            r"class/course.yaml: has no exercise '.*'; it has 1 to 11.*\n", done.err
        )
    done = minifw("course", "check")
    assert done.code == 2
    assert "there is no course here" in done.err
    listed = minifw("course", "list", "--dir", "class")
    assert "The mean squared error" in listed.out
    assert max(map(len, listed.out.splitlines())) <= 80
