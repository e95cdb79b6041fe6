"""A network with the wrong number of outputs is told what is asked for, and what mends it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import minifw as library
from conftest import Minifw
from minifw.errors import ConfigError

HEAD = "name: a\ndata: {kind: csv, path: birds.csv%s}\nnetwork:\n"
TAIL = "\nloss: %s\ntrain: {eta: 0.1, epochs: 1}\n"
BIRDS = "a,b,c,d,y,z\n" + "".join(
    f"{i // 2},{i % 5},{i * i % 7},{-i % 4},{0.5 * i},{['adel', 'chin', 'gent'][i % 3]}\n"
    for i in range(30)
)
IMAGE = "  - unflatten: [1, 2, 2]\n  - {conv2d: 4, kernel_size: 2}"
OWN = """
from minifw import nn

class Wide(nn.Linear):
    def __init__(self, in_features: int, out_features: int = 4, **more: object) -> None:
        super().__init__(in_features, out_features, **more)
"""


def write(network: str, loss: str = "mse", more: str = ", exclude: [y]") -> None:
    Path("birds.csv").write_text(BIRDS)
    Path("mine.py").write_text(OWN)
    Path("a.yaml").write_text(HEAD % more + network + TAIL % loss)


CHAINS = {
    "short": "  - linear: 4\n  - relu\n  - linear: 2",
    "long": "  - relu\n  - {kind: linear, out_features: 2}",
    "inner": "  - linear: {out_features: 2, init: xavier-normal}",
    "mixed": "  - {linear: 2, bias: false}",
    "others follow": "  - linear: 5\n  - layer-norm\n  - tanh",
    "to rows": f"{IMAGE}\n  - flatten\n  - linear: 2\n  - relu",
    "to channels": f"{IMAGE}\n  - flatten",
    "named": "  - {linear: 2, name: end}\n  - sigmoid",
    "again": "  - {linear: 4, name: end}\n  - {use: end}\n  - linear: 1",
    "own": "  - {python: mine.Wide}",
}


@pytest.mark.parametrize("network", CHAINS.values(), ids=CHAINS)
def test_the_option_of_the_message_mends_it(minifw: Minifw, network: str) -> None:
    write(network)
    fault = minifw("validate", "a.yaml", "--allow-code")
    assert fault.code == 2
    said = re.fullmatch(
        r"a.yaml:\d+:\d+: network.\d+: 3 classes \('adel', 'chin', 'gent'\), the last layer has "
        r"\d outputs?; --set (\S+)\n",
        fault.err,
    )
    assert said, fault.err
    mended = minifw("validate", "a.yaml", "--allow-code", "--set", said[1])
    assert (mended.code, mended.err) == (0, "")


BY_HAND = {
    "an image": (IMAGE, "gives 4x1x1; `- flatten` and `- linear: 3` more at the end mend it"),
    "an image of that size": (IMAGE.replace("conv2d: 4", "conv2d: 3"),
                              "gives 3x1x1; `- flatten` more at the end mends it"),
    "the same layer twice": ("  - {linear: 4, name: end}\n  - {use: end}",
                             "has 4 outputs; `- linear: 3` more at the end mends it"),
    "a sum": ("  - {linear: 4, name: one}\n  - {linear: 4, name: two}\n  - add: [one, two]",
              "has 4 outputs; `- linear: 3` more at the end mends it"),
    "no layer but one for each feature": ("  - {kind: layer-norm}",
                                          "has 4 outputs; `- linear: 3` more at the end mends it"),
}  # fmt: skip


@pytest.mark.parametrize(("network", "said"), BY_HAND.values(), ids=BY_HAND)
def test_where_no_option_mends_it_a_layer_does(minifw: Minifw, network: str, said: str) -> None:
    write(network)
    fault = minifw("validate", "a.yaml")
    assert fault.err.endswith(f"3 classes ('adel', 'chin', 'gent'), the last layer {said}\n")
    assert fault.err.count("\n") == 1
    added = "".join(f"\n  {layer}" for layer in re.findall(r"`(- [^`]+)`", said))
    write(network + added)
    assert minifw("validate", "a.yaml").err == ""


def test_targets_of_a_regression_are_named(minifw: Minifw) -> None:
    write("  - linear: 1", more=", task: regression, exclude: [z], target: [c, y]")
    assert minifw("validate", "a.yaml").err == (
        "a.yaml:4:5: network.0: 2 targets ('c', 'y'), the last layer has 1 output; "
        "--set network.0.out_features=2\n"
    )
    assert minifw("validate", "a.yaml", "--set", "network.0.out_features=2").err == ""


def test_each_head_has_its_own_option(minifw: Minifw) -> None:
    network = (
        "  - {linear: 5, name: shared}\n  - {linear: 2, name: copy}\n"
        "  - {linear: 2, from: shared, name: kinds}"
    )
    heads = "[{of: copy, kind: mse, target: inputs}, {of: kinds, kind: cross-entropy}]"
    write(network, heads)
    fault = minifw("validate", "a.yaml")
    assert fault.err.splitlines() == [
        "a.yaml:5:5: network.1: 4 inputs, the layer 'copy', a head, has 2 outputs; "
        "--set network.1.out_features=4",
        "a.yaml:6:5: network.2: 3 classes ('adel', 'chin', 'gent'), the layer 'kinds', a head, "
        "has 2 outputs; --set network.2.out_features=3",
    ]
    given = [word for found in re.findall(r"--set \S+", fault.err) for word in found.split()]
    assert minifw("validate", "a.yaml", *given).err == ""


def test_many_classes_are_not_all_named(minifw: Minifw) -> None:
    Path("birds.csv").write_text("a,z\n" + "".join(f"{i},c{i % 9}\n" for i in range(90)))
    Path("a.yaml").write_text(HEAD % "" + "  - linear: 2" + TAIL % "mse")
    assert (
        "9 classes ('c0', 'c1', 'c2', 'c3', 'c4', …), the last" in minifw("validate", "a.yaml").err
    )


def test_python_is_told_of_overrides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("  - linear: 2")
    with pytest.raises(ConfigError) as raised:
        library.train("a.yaml")
    assert str(raised.value).endswith("; overrides={'network.0.out_features': 3}")
    given = {"network.0.out_features": 3}
    assert library.train("a.yaml", overrides=given).test_error.shape == (1,)
