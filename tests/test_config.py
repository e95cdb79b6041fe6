"""Configs: what is read, every fault with its place, and a round trip."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bad_configs import EDITS, FILES, GOOD, OVERRIDES
from minifw.config import yaml12
from minifw.config.columned import FromFile
from minifw.config.generated import Generated
from minifw.config.layers import LayerSection
from minifw.config.loading import dump, load
from minifw.config.model import Config
from minifw.config.parts import InitSection, LossSection
from minifw.config.sections import section
from minifw.config.source import MAX_FAULTS, Source
from minifw.errors import ConfigError

FOLDER = Path(__file__).parent.parent / "src/minifw/examples"
PACKAGED = sorted(FOLDER.rglob("*.yaml"))


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
    assert config.loss == section(LossSection, "mse", reduction="mean")
    assert config.network[0] == section(LayerSection, "linear", out_features=4)
    assert isinstance(config.data, Generated)
    assert config.data.keys["radius"] == 1 / math.sqrt(2 * math.pi)
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
    assert isinstance(config.loss, LossSection)
    assert (config.loss.kind, config.loss.reduction, config.data.normalize) == (
        "mse",
        "sample",
        True,
    )
    assert (config.data.train, config.data.test) == (1000, 1000)


@pytest.mark.parametrize(("old", "new", "expected"), EDITS)
def test_each_fault_has_its_place(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    assert old in GOOD
    assert faults(tmp_path, GOOD.replace(old, new, 1)) == expected


def test_the_faults_of_all_stages_come_at_once(tmp_path: Path) -> None:
    text = """\
name: good
name: again
data: {kind: disk, train: 50, test: 60}
network:
  - linear: 4
  - rleu
  - linear: {out_features: 25, in_features: 30}
  - linear: {out_features: 4.5, in_features: 30}
  - linear: {out_features: 3, in_features: 30}
loss: 3
seed: !!int 3
train:
  mode: sgd
  batch_size: 51
  eta: &a fast
  epcohs: 3
"""
    assert faults(tmp_path, text, "dtype=float16") == [
        "a.yaml:2:1: name: this key is given twice; first in line 1",
        "a.yaml:6:5: network.1: unknown kind 'rleu'; did you mean 'relu'?; a class of your own goes by {python: file.Class}",
        "a.yaml:7:5: network.2: expects 30 inputs, but network.0 (line 5) gives 4",
        "a.yaml:8:28: network.3.out_features: must be a whole number, got 4.5",
        "a.yaml:9:5: network.4: 2 classes, the last layer has 3 outputs; --set network.4.out_features=2",
        "a.yaml:10:7: loss: must be a word or a mapping with 'kind', got 3",
        "a.yaml:11:7: seed: tags (tag:yaml.org,2002:int) are not allowed",
        "a.yaml:15:8: train.eta: anchors (&name) are not allowed",
        "a.yaml:15:8: train.eta: must be a number, got 'fast' (text)",
        "a.yaml:16:3: train.epcohs: unknown key; did you mean 'epochs'?",
        "--set dtype=float16: dtype: must be one of float32, float64, got 'float16' (text); "
        "did you mean 'float64'?",
        "a.yaml:13:3: train.epochs: this key is missing",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["{a: 1, a: ", "? ", "[? ", "- ? - "])
def test_depth_is_bounded_where_values_do_not_count(tmp_path: Path, text: str) -> None:
    assert faults(tmp_path, text * 1000)[-1].endswith(f"nested more than {yaml12.MAX_DEPTH} deep")


def test_nesting_beyond_what_the_parser_takes_is_one_fault(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "[" * 50_000)
    # PyYAML since 6.0.4 looks ahead and stops by itself at its own bound, 1000.
    assert fault in (
        f"a.yaml:1:21: nested more than {yaml12.MAX_DEPTH} deep",
        "a.yaml:1:1001: not valid YAML: exceeded maximum nesting depth",
    )


def test_faults_beyond_the_fiftieth_are_counted(tmp_path: Path) -> None:
    found = faults(tmp_path, GOOD + "".join(f"k{i}: 1\n" for i in range(1000)))
    assert len(found) == MAX_FAULTS + 1
    assert found[-1] == "a.yaml: and 950 more faults"


def test_a_new_kind_forgets_the_keys_of_the_old_one(tmp_path: Path) -> None:
    text = GOOD.replace("disk,", "disk, center: [0, 0], radius: 1,")
    path = written(tmp_path, text)
    assert load(path, ["data.kind=moons"]).data == section(Generated, "moons", train=50, test=60)
    assert load(path, ["network.1.kind=tanh"]).network[1].kind == "tanh"
    # What --set itself gave, or nobody knows, is a mistake all the same.
    assert faults(tmp_path, text, "data.kind=moons", "data.radius=2") == [
        "--set data.radius=2: data.radius: unknown key; known here: feature_noise, imbalance, kind, label_noise, noise, normalize, share, test, train, validation"
    ]
    assert faults(tmp_path, text.replace("radius", "raduis"), "data.kind=moons") == [
        "a.yaml:2:36: data.raduis: unknown key; known here: feature_noise, imbalance, kind, label_noise, noise, normalize, share, test, train, validation"
    ]


@pytest.mark.parametrize(("text", "expected"), FILES)
def test_files_that_are_no_config(tmp_path: Path, text: str | bytes, expected: str) -> None:
    assert faults(tmp_path, text) == [expected]


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
    assert config.init == section(InitSection, "normal", std=0.5)
    assert config.optimizer.keys["momentum"] == 0.9
    assert config.data == section(Generated, "moons", noise=0.2)
    assert isinstance(config.loss, LossSection)
    assert config.loss.reduction == "sum"


@pytest.mark.parametrize(
    ("key", "sign"),
    [("decimal", ","), ("delimiter", "|"), ("delimiter", ";"), ("comment", "#"), ("comment", "%")],
)
def test_a_single_sign_stands_for_itself(tmp_path: Path, key: str, sign: str) -> None:
    """In YAML a comma and % are faults, a bar is an empty text, and # is a comment: no value."""
    own = "{kind: csv, path: a.csv}"
    path = written(tmp_path, "name: a\nnetwork: [{linear: 2}]\nloss: mse\n"
                   f"train: {{eta: 1, epochs: 1}}\ndata: {own}\n")  # fmt: skip
    assert getattr(load(path, [f"data.{key}={sign}"]).data, key) == sign


@pytest.mark.parametrize(("override", "expected"), OVERRIDES)
def test_wrong_overrides_name_themselves(tmp_path: Path, override: str, expected: str) -> None:
    assert faults(tmp_path, GOOD, override) == [expected]


def test_no_standard_deviation_is_below_nothing(tmp_path: Path) -> None:
    """NumPy takes -0.0 for a scale below 0."""
    text = "data: {kind: moons, noise: -0.0}\ninit: {kind: normal, std: -0.0}\n"
    rest = "name: a\nnetwork: [{linear: 2}]\nloss: mse\ntrain: {eta: 1, epochs: 1}\n"
    (tmp_path / "a.yaml").write_text(rest + text)
    config = load(tmp_path / "a.yaml", ["optimizer.momentum=-0.0"])
    assert isinstance(config.data, Generated)
    values = (
        config.data.keys["noise"], config.init.keys["std"], config.optimizer.keys["momentum"],
    )  # fmt: skip
    assert [math.copysign(1, value) for value in values] == [1, 1, 1]


def test_overrides_that_do_not_go_together(tmp_path: Path) -> None:
    assert faults(tmp_path, GOOD, "network=relu", "network.0.linear=3") == [
        "--set network=relu: network: must be a list, got a mapping"
    ]
    # Pydantic itself would stop at such a key, and leave the other fault out.
    assert faults(tmp_path, GOOD, "\udcff=1", "loss.kind=x") == [
        "--set loss.kind=x: loss.kind: unknown kind 'x'; known here: bce, cross-entropy, huber, l1, mse; a class of your own goes by {python: file.Class}",
        "--set \\udcff=1: \\udcff: unknown key; known here: data, device, dtype, init, loss, name, "
        "network, optimizer, seed, seeds, sweep, train",
    ]


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
        assert isinstance(data, FromFile)
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
    source = Source("here")
    found = yaml12.parse(f"a: {text}", source)["a"]
    assert (type(found), found) == (type(value), value)
    assert not source.faults


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20))
def test_any_text_that_is_written_is_read_as_text(text: str) -> None:
    written = yaml12.dump({"a": text})
    assert yaml12.parse(written, Source("here")) == {"a": text}


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
    source = Source("here")
    assert Config.model_validate(yaml12.parse(dump(config), source)) == config


@pytest.mark.parametrize(
    ("old", "new", "override", "expected"),
    [
        ("loss: mse", "loss: mse\noptimizer: {sgd: {momentum: 0.9}}", None,
         "8:12: optimizer: only a layer may be written so; write optimizer: {kind: sgd, momentum: 0.9}"),
        ("loss: mse", "loss: {mse: sum}", None,
         "7:7: loss: only a layer may be written so; write loss: {kind: mse, reduction: …}"),
        ("- linear: 4", "- linear: {out_features: 4, init: {normal: {std: 1}}}", None,
         "4:37: network.0.init: only a layer may be written so; write init: {kind: normal, std: 1}"),
        ("{kind: disk, train: 50, test: 60}", "{moons: {noise: 0.1}}", None,
         "2:7: data: only a layer may be written so; write data: {kind: moons, noise: 0.1}"),
        ("loss: mse", "loss: mse\noptimizer: adagrad", None,
         "8:12: optimizer: unknown kind 'adagrad'; known here: adam, adamw, rmsprop, sgd; a class of "
         "your own goes by {python: file.Class}"),
        ("", "", "epochs=5", "epochs: unknown key; did you mean 'train.epochs'?"),
        ("", "", "momentum=0.9", "momentum: unknown key; did you mean 'optimizer.momentum'?"),
        ("", "", "lr=1", "lr: unknown key; did you mean 'train.eta'?"),
        ("", "", "train.lr=1", "train.lr: unknown key; did you mean 'eta'?"),
        ("", "", "optimizer.lr=1", "optimizer.lr: unknown key; did you mean 'train.eta'?"),
        ("", "", "optimizer.batch_size=1",
         "optimizer.batch_size: unknown key; did you mean 'train.batch_size'?"),
        ("", "", "train.early_stopping=true",
         "train.early_stopping: must be a mapping such as {patience: 20}, or null, got true"),
    ],
)  # fmt: skip
def test_what_others_write_is_answered_with_what_to_write(
    tmp_path: Path, old: str, new: str, override: str | None, expected: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigError) as raised:
        load(path, [override] if override else [])
    where = f"--set {override}: " if override else f"{path}:"
    assert raised.value.faults == (f"{where}{expected}",)


def test_a_layer_that_is_written_out_takes_its_short_key_too(tmp_path: Path) -> None:
    """`--set network.0.linear=9` fits `linear: 25` and the config that a run keeps."""
    text = GOOD.replace("linear: 4", "{kind: linear, out_features: 4, bias: false}", 1)
    assert text != GOOD
    (tmp_path / "a.yaml").write_text(text)
    layer = load(tmp_path / "a.yaml", ["network.0.linear=9"]).network[0]
    assert (layer.out_features, layer.bias) == (9, False)
