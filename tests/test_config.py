"""Configs: what is read, every fault with its place, and a round trip."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minifw import config as configs
from minifw import places
from minifw.config import Config, dump, load
from minifw.errors import ConfigError

FOLDER = Path(__file__).parent.parent / "configs"
PACKAGED = sorted(FOLDER.rglob("*.yaml"))

GOOD = """\
name: good
data: {kind: disk, train: 50, test: 60}
network:
  - linear: 4
  - relu
  - linear: 2
loss: mse
train:
  eta: 1e-3
  epochs: 3
"""


def written(tmp_path: Path, text: str | bytes, name: str = "a.yaml") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(tmp_path: Path, text: str | bytes, *overrides: str) -> list[str]:
    """The lines of the error, with the folder taken out."""
    with pytest.raises(ConfigError) as raised:
        load(written(tmp_path, text), overrides)
    assert raised.value.exit_code == 2
    return [line.replace(f"{tmp_path}/", "") for line in str(raised.value).split("\n")]


def test_defaults_and_short_forms(tmp_path: Path) -> None:
    config = load(written(tmp_path, GOOD))
    assert config.train.eta == 0.001
    assert config.loss == configs.LossConfig(kind="mse", reduction="mean")
    assert config.network[0] == configs.LinearLayer(kind="linear", out_features=4)
    assert isinstance(config.data, configs.Disk)
    assert config.data.radius == 1 / math.sqrt(2 * math.pi)
    assert (config.seed, config.seeds, config.dtype, config.train.mode) == (
        0,
        None,
        "float32",
        "full-batch",
    )


@pytest.mark.parametrize("path", PACKAGED, ids=lambda path: path.stem)
def test_packaged_configs_are_valid_and_dump_to_themselves(path: Path, tmp_path: Path) -> None:
    config = load(path)
    assert config.name == path.stem
    assert load(written(tmp_path, dump(config))) == config
    assert path.read_text().startswith("# ")


def test_the_packaged_configs_are_there() -> None:
    assert {path.stem for path in PACKAGED} >= {
        "simplenet", "simplenet-sgd", "half-plane", "disk-quarter", "disk-best", "cross-entropy",
    }  # fmt: skip


def test_simplenet_is_the_reports_case() -> None:
    config = load(FOLDER / "simplenet.yaml")
    layers = [getattr(layer, "out_features", layer.kind) for layer in config.network]
    assert layers == [25, "relu", 25, "relu", 25, "relu", 2]
    assert (config.train.eta, config.train.epochs, config.train.mode) == (0.01, 1000, "full-batch")
    assert (config.loss.kind, config.loss.reduction, config.data.normalize) == (
        "mse",
        "sample",
        True,
    )
    assert (config.data.train, config.data.test) == (1000, 1000)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("epochs: 3", "epcohs: 3", [
            "a.yaml:10:3: train.epcohs: unknown key; did you mean 'epochs'?",
            "a.yaml:9:3: train.epochs: this key is missing",
        ]),
        ("eta: 1e-3", "eta: fast", ["a.yaml:9:8: train.eta: must be a number, got 'fast' (text)"]),
        ("eta: 1e-3", 'eta: "0.1"', ["a.yaml:9:8: train.eta: must be a number, got '0.1' (text)"]),
        ("eta: 1e-3", "eta: true", ["a.yaml:9:8: train.eta: must be a number, got true"]),
        ("eta: 1e-3", "eta: 0", ["a.yaml:9:8: train.eta: must be above 0.0, got 0"]),
        ("eta: 1e-3", "eta: .nan", ["a.yaml:9:8: train.eta: must be a finite number, got nan"]),
        ("eta: 1e-3", "eta: .inf", ["a.yaml:9:8: train.eta: must be a finite number, got inf"]),
        ("eta: 1e-3", "eta:", ["a.yaml:9:7: train.eta: must be a number, got nothing"]),
        ("epochs: 3", "epochs: 3.0", ["a.yaml:10:11: train.epochs: must be a whole number, got 3.0"]),
        ("- relu", "- rleu", ["a.yaml:5:5: network.1: unknown kind 'rleu'; did you mean 'relu'?"]),
        ("- relu", "- relu: 3", ["a.yaml:5:5: network.1: this layer takes no value"]),
        ("- relu", "- {linear: 3, bias: true}", [
            "a.yaml:5:5: network.1: a layer is a word (relu), one key (linear: 25), or a mapping with 'kind'"
        ]),
        ("- linear: 4", "- linear: 4.5", ["a.yaml:4:5: network.0.out_features: must be a whole number, got 4.5"]),
        ("- linear: 4", "- linear: {out_features: 4, in_features: 3}", [
            "a.yaml:4:5: network.0: expects 3 inputs, but the data has 2"
        ]),
        ("- linear: 2", "- linear: {out_features: 2, in_features: 5}", [
            "a.yaml:6:5: network.2: expects 5 inputs, but network.0 gives 4"
        ]),
        ("- linear: 2", "- linear: 3", [
            "a.yaml:6:5: network.2: the network must end with one output for each of the 2 classes, got 3"
        ]),
        ("kind: disk", "kind: dsik", ["a.yaml:2:14: data.kind: unknown kind 'dsik'; did you mean 'disk'?"]),
        ("kind: disk, ", "", ["a.yaml:2:7: data: the key 'kind' is missing"]),
        ("train: 50", "noise: 1", ["a.yaml:2:20: data.noise: unknown key; known here: center, kind, normalize, radius, test, train"]),
        ("loss: mse", "loss: msee", ["a.yaml:7:7: loss.kind: must be one of mse, cross-entropy, got 'msee' (text); did you mean 'mse'?"]),
        ("loss: mse", "", ["a.yaml:1:1: loss: this key is missing"]),
        ("name: good", "name: ../up", ["a.yaml:1:7: name: must be letters, digits, - and _ only, at most 64, got '../up' (text)"]),
        ("name: good", "name: good\nname: again", ["a.yaml:2:1: name: this key stands here twice"]),
        ("name: good", "name: &x good", ["a.yaml:1:7: anchors (&name) are not allowed"]),
        ("name: good", "name: !!str good", ["a.yaml:1:7: tags (tag:yaml.org,2002:str) are not allowed"]),
        ("loss: mse", "loss: [", ["a.yaml:9:6: not valid YAML: expected ',' or ']', but got ':'"]),
        ("epochs: 3", "epochs: 3\n  mode: sgd", ["a.yaml:8:1: train.batch_size: this key is missing; mode 'sgd' needs it"]),
        ("epochs: 3", "epochs: 3\n  batch_size: 51\n  mode: sgd", ["a.yaml:11:15: train.batch_size: must be at most data.train = 50, got 51"]),
        ("kind: disk", "kind: disk, center: [0.5]", ["a.yaml:2:28: data.center.1: this key is missing"]),
    ],
)  # fmt: skip
def test_each_fault_has_its_place(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in GOOD
    found = faults(tmp_path, GOOD.replace(old, new, 1))
    if "train.epochs: this key is missing" in expected[-1]:
        expected = [*expected[:-1], found[-1]]
        assert found[-1].endswith("train.epochs: this key is missing")
    elif "missing" in expected[-1]:
        assert [line.split(": ", 1)[1] for line in found] == [e.split(": ", 1)[1] for e in expected]
        return
    assert found == expected


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    text = (
        GOOD.replace("epochs: 3", "epcohs: 3")
        .replace("- relu", "- rleu")
        .replace("loss: mse", "loss: 3")
    )
    found = faults(tmp_path, text, "dtype=float16")
    assert len(found) == 5
    assert found[-1].endswith("train.epochs: this key is missing")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the file is empty; a config needs at least name, data, network, loss, train"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n- b\n", "expects `key: value` lines, got a list"),
        ("just words", "expects `key: value` lines, got text"),
        ("a: 1\n---\nb: 2\n", "one document a file"),
        (b"name: \xff\n", "a.yaml:1:1: not UTF-8 text"),
        ("a: " + "[" * 50 + "]" * 50, "nested more than 20 deep"),
        ("[" * 50_000, "nested more than 20 deep"),
        ("a: 1" + "0" * 5000, "not a number that can be used"),
        ("a: \x00", "not valid YAML"),
        ("? [a]\n: 1", "a key must be a word"),
        ("a" * (1 << 20) + "a", "larger than 1048576 bytes"),
    ],
)
def test_files_that_are_no_config(tmp_path: Path, text: str | bytes, expected: str) -> None:
    (line,) = faults(tmp_path, text)
    assert expected in line
    assert line.startswith("a.yaml")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    written(tmp_path, GOOD, "simplenet.yaml")
    with pytest.raises(
        ConfigError, match=r"there is no such file; did you mean 'simplenet.yaml'\?"
    ):
        load(tmp_path / "simplnet.yaml")
    with pytest.raises(ConfigError, match="expects a YAML file, this is a directory"):
        load(tmp_path)


def test_overrides(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    config = load(path, [
        "train.eta=0.5", "network.1=tanh", "network.0.linear=7", "init=normal", "init.std=0.5",
        "optimizer.momentum=0.9", "optimizer.kind=sgd", "data={kind: moons, noise: 0.2}", "loss.reduction=sum",
    ])  # fmt: skip
    assert config.train.eta == 0.5
    assert [layer.kind for layer in config.network] == ["linear", "tanh", "linear"]
    assert config.init == configs.NormalInit(kind="normal", std=0.5)
    assert config.optimizer.momentum == 0.9
    assert config.data == configs.Moons(kind="moons", noise=0.2)
    assert config.loss.reduction == "sum"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.eta", "expects section.key=value, as in train.eta=0.1"),
        ("=3", "expects section.key=value"),
        ("train..eta=3", "expects section.key=value"),
        ("train.eta=fast", "train.eta: must be a number, got 'fast' (text)"),
        ("train.epcohs=3", "train.epcohs: unknown key; did you mean 'epochs'?"),
        ("train.eta.x=3", "there is nothing at train.eta.x"),
        ("network.9=relu", "there is nothing at network.9"),
        ("network.x=relu", "there is nothing at network.x"),
        ("train.eta=[", "not valid YAML"),
        ("train.eta=&a 1", "anchors"),
        ("seeds=0", "seeds: must be at least 1, got 0"),
    ],
)
def test_wrong_overrides_name_themselves(tmp_path: Path, override: str, expected: str) -> None:
    line = faults(tmp_path, GOOD, override)[0]
    assert line.startswith(f"--set {override}:")
    assert expected in line


def test_a_list_of_wrong_items_is_not_called_short(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD, "network=[linear]") == [
        "--set network=[linear]: network.0.out_features: this key is missing"
    ]
    assert faults(tmp_path, GOOD, "network=[]") == [
        "--set network=[]: network: must have at least 1 item(s), got 0"
    ]


def test_data_paths_are_meant_from_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    text = GOOD.replace("{kind: disk, train: 50, test: 60}", "{kind: csv, path: a.csv}")
    path = written(tmp_path, text)

    def data_path(*overrides: str) -> str:
        data = load(path, overrides).data
        assert isinstance(data, configs.FromFile)
        return data.path

    assert data_path() == str(tmp_path / "a.csv")
    assert data_path("data.path=b.csv") == str(here / "b.csv")
    assert data_path("data.path=/x/b.csv") == "/x/b.csv"


SCALARS = {
    "1e-3": 0.001, "1E5": 1e5, "0.5": 0.5, ".5": 0.5, "5.": 5.0, "-1": -1, "+3": 3, "007": 7,
    "0x1F": 31, "0o17": 15, "on": "on", "off": "off", "yes": "yes", "no": "no", "1:30": "1:30",
    "1_000": "1_000", "0b1": "0b1", "~": None, "null": None, "true": True, "False": False,
    "2024-01-01": "2024-01-01", "0x_": "0x_", "1e": "1e", "'1'": "1", "=": "=",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS.items())
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    source = places.Source("here")
    found = places.parse(f"a: {text}", source)["a"]
    assert (type(found), found) == (type(value), value)
    assert not source.faults


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20))
def test_any_text_that_is_written_is_read_as_text(text: str) -> None:
    written = places.dump({"a": text})
    assert places.parse(written, places.Source("here")) == {"a": text}


@given(
    eta=st.floats(1e-300, 1e300),
    sizes=st.lists(st.integers(1, 1000), max_size=4),
    init=st.sampled_from(["pytorch", "zeros", "normal"]),
    seed=st.integers(0, 2**32),
)
def test_a_config_dumps_to_itself(eta: float, sizes: list[int], init: str, seed: int) -> None:
    config = Config.model_validate(
        {
            "name": "on", "seed": seed, "data": "disk", "init": init, "loss": "mse",
            "network": [*({"linear": n} for n in sizes), {"linear": 2}],
            "train": {"eta": eta, "epochs": 1},
        }
    )  # fmt: skip
    source = places.Source("here")
    assert Config.model_validate(places.parse(dump(config), source)) == config
