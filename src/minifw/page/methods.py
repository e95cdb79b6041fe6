"""What was done, in sentences that a paper can have: samples, network, training, statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minifw.config.columned import AtPath
from minifw.config.generated import Generated
from minifw.config.heads import in_words
from minifw.config.model import Config, Stopping, word_of
from minifw.config.tabled import Tabled
from minifw.experiment.results import layers_in_words
from minifw.report.words import listed, many, seed_range, sentence
from minifw.runs import ARMS, Mode
from minifw.runs.results import Data, Results, StoppingRecord
from minifw.statistics.overlap import Overlap

LOSSES = {
    "mse": "mean squared error",
    "l1": "mean absolute error",
    "cross-entropy": "cross-entropy",
    "bce": "binary cross-entropy",
    "huber": "Huber loss",
}
"""How a paper names what a config calls in a word."""
REDUCTIONS = {
    "mse": {"mean": "", "sample": "summed over the outputs, averaged over the samples",
            "sum": "summed over outputs and samples"},
    "other": {"mean": "", "sample": "averaged over the samples", "sum": "summed over the samples"},
}  # fmt: skip
LAYERS = {"relu": "ReLU", "tanh": "tanh", "gelu": "GELU", "silu": "SiLU", "elu": "ELU"}
INITS = {
    "pytorch": "PyTorch's default initialisation",
    "kaiming-uniform": "Kaiming-uniform initialisation",
    "kaiming-normal": "Kaiming-normal initialisation",
    "xavier-uniform": "Xavier-uniform initialisation",
    "xavier-normal": "Xavier-normal initialisation",
    "orthogonal": "orthogonal initialisation",
}


def of_run(results: Results, config: Config | None, versions: Mapping[str, str]) -> str:
    """Return the methods of a run of train, or of a comparison with PyTorch.

    `config` is None where it would run a user's code; then its own words are quoted.
    """
    said = [
        *_network(results.about, config, len(results.data.features)),
        *_samples(results.data, config),
        _training([*results.modes], results.batch_size, results, config),
        _seeds(results, config),
    ]
    if results.other is not None:
        said.append(
            f"{ARMS[results.other]} trained the same networks from the same initial weights, on "
            "the same samples in the same order"
        )
    left = max(
        sum(error is not None for error in outcome.test_error)
        for arms in results.modes.values()
        for outcome in arms.values()
    )
    said.append(statistics(results.data.overlap, left, results.other is not None))
    said.append(framework(versions, results.dtype))
    return " ".join(sentence(each) for each in said if each)


def of_config(about: str, config: Config | None, layers: bool = False) -> list[str]:
    """Return what is trained by a study's config, a sentence each."""
    if config is None:
        return [f"networks were trained as their configs say: {about}"]
    features = _features(config) if layers else None
    return [*_network(about, config, features), *_data_of(config), _of_train(config)]


def _features(config: Config) -> int:
    """Return the number of features where the data say it; 0 of a file, which is not read."""
    return len(config.data.feature_names) if isinstance(config.data, Generated) else 0


def statistics(overlap: Overlap | None, seeds: int, pairs: bool, figure: str = "median") -> str:
    """Return how intervals were made, and p if there are pairs; nothing of one seed."""
    if seeds < 2:
        return ""
    if overlap is not None:
        text = (
            "intervals are 95 % intervals of the mean, Student's with the variance corrected for "
            "training sets that overlap (Nadeau and Bengio 2003)"
        )
        return text + ("; p is that of the corrected resampled t-test" if pairs else "")
    text = f"intervals are 95 % bootstrap intervals of the {figure} over the seeds (BCa, 9,999 "
    text += "resamples)"
    if pairs:
        text += (
            "; pairs are compared seed by seed, by the mean of the differences, its bootstrap "
            "interval, and a two-sided sign-flip test"
        )
    return text


def framework(versions: Mapping[str, str], dtype: str) -> str:
    """Return what it was done with."""
    names = (("minifw", "minifw"), ("torch", "PyTorch"), ("numpy", "NumPy"), ("python", "Python"))
    shown = [f"{name} {versions[key]}" for key, name in names if key in versions]
    return f"all numbers were computed in {dtype} with {listed(shown)}"


# ------------------------------------------------------------------------------------- parts


def _network(about: str, config: Config | None, features: int | None) -> list[str]:
    if config is None:
        return [f"the config {about} names Python files, which a page does not run"]
    if features == 0:
        sizes, kinds = "", "/".join(dict.fromkeys(layer.word for layer in config.network))
    else:
        sizes, kinds = _layers(about) if features is None else layers_in_words(config, features)
    said = [LAYERS.get(kind, kind) for kind in kinds.split("/") if kind != "linear"]
    inside = f" ({listed(said)})" if said else ", all linear"
    init = INITS.get(config.init.called, f"initial weights by {config.init.word}")
    return [
        f"networks with {f'layers of sizes {sizes}' if sizes else 'layers'}{inside} and {init} "
        f"were trained to minimise {_loss(config)}"
    ]


def _layers(about: str) -> tuple[str, str]:
    """Return sizes and kinds of the layers from the words that a study has for its first config."""
    sizes, _, kinds = about.rpartition("; layers ")[2].partition("; ")[0].partition(", ")
    return sizes, kinds


def _loss(config: Config) -> str:
    loss = config.loss
    if isinstance(loss, tuple):
        return f"the sum of the losses of its heads ({in_words(loss)})"
    name = LOSSES.get(loss.called, loss.word)
    kind = "mse" if loss.called in ("mse", "l1", "huber") else "other"
    how = REDUCTIONS[kind].get(getattr(loss, "reduction", "mean"), "")
    smooth = loss.keys.get("label_smoothing")
    name += f" with label smoothing {smooth:g}" if smooth else ""
    name += " weighted by class" if loss.keys.get("weights") else ""
    return f"the {name}" + (f", {how}" if how else "")


def _samples(data: Data, config: Config | None) -> list[str]:
    sizes = [f"{data.train:,} training"]
    if data.validation is not None:
        sizes.append(f"{data.validation:,} validation")
    sizes.append(f"{data.test:,} test")
    noun = "sample" if data.test == 1 else "samples"
    what = "" if config is None else f" of {_name(config)}"
    features = many(len(data.features), "feature")
    if data.targets:
        about = f"{features}; {'target' if len(data.targets) == 1 else 'targets'}: "
        about += listed(data.targets[:5]) + (" …" if len(data.targets) > 5 else "")
    else:
        about = f"{features}, {many(len(data.class_balance), 'class').replace('classs', 'classes')}"
    said = [f"there were {listed(sizes)} {noun}{what} ({about})"]
    if config is not None:
        if data.division is not None and "fold" not in data.division:
            said[0] += _way_of_division(config.data)
        said[0] += _prepared(config.data)
    if data.altered:
        said.append(_altered(data.altered))
    return said


def _name(config: Config) -> str:
    data = config.data
    if isinstance(data, Generated):
        return f"the {word_of(data)} data"
    if word_of(data) == "sklearn":
        return f"scikit-learn's {data.about} data"
    if isinstance(data, AtPath):
        return f"the data in {data.about}"
    return f"the {word_of(data)} data ({data.about})"


def _data_of(config: Config) -> list[str]:
    data = config.data
    if isinstance(data, Generated):
        sizes = f"{data.train:,} training and {data.test:,} test samples"
        said = f"there were {sizes} of {_name(config)}"
    else:
        said = f"the samples were those of {_name(config)}{_divided(data)}"
    said += _prepared(data)
    if data.validation is not None:
        held = f"{100 * data.validation:g} %" if data.validation < 1 else f"{data.validation:,}"
        said += f"; {held} of the training samples were kept for validation"
    if altered := data.alteration.words:
        return [said, _altered(altered)]
    return [said]


def _altered(words: Sequence[str]) -> str:
    return f"on purpose, the training samples were altered: {'; '.join(words)}"


def _prepared(data: Any) -> str:
    """Return what was done to the features of all samples."""
    missing = getattr(data, "missing", "error")
    said = ""
    if missing == "drop":
        said += "; rows with missing values were left out"
    elif missing != "error":
        said += f"; missing values were filled with the {missing} of the training samples"
    if data.normalize:
        who = "; features were" if said else ","
        said += f"{who} normalised per feature by the training samples"
    return said


def _way_of_division(data: Any) -> str:
    ways = {"stratified": ", stratified by class", "grouped": ", by whole groups"}
    return ways.get(getattr(data, "split", ""), "")


def _divided(data: Any) -> str:
    """Return how a file's samples are divided, by the keys of its config: no file is read."""
    if getattr(data, "folds", None):
        return f", divided for {data.folds}-fold cross-validation"
    if getattr(data, "test_path", None) or not isinstance(data, Tabled):
        return ""
    train = data.usual_train if data.train is None else data.train
    share = f"{100 * train:g} %" if train < 1 else f"{train:,}"
    how = _way_of_division(data)
    rest = "the others" if getattr(data, "test", None) is None else "others of them"
    return f", of which {share} were drawn for training{how}, and {rest} for testing"


def _training(
    modes: Sequence[Mode], batch: int | None, results: Results, config: Config | None
) -> str:
    ways = [_way(mode, batch) for mode in modes]
    how = "gradient descent" if config is None else _optimizer(config)
    if config is None and results.optimizer is not None:
        how = results.optimizer
    schedule, rule = results.schedule, results.early_stopping
    return _steps(f"{how} {' and '.join(ways)}", results.eta, schedule, results.epochs, rule)


def _steps(
    how: str, eta: float, schedule: str | None, epochs: int, rule: Stopping | StoppingRecord | None
) -> str:
    """Return how training went; `rule` says when a network stopped early."""
    most = "" if rule is None else "at most "
    text = (
        f"training was by {how}, with a learning rate of {eta:g}"
        f"{'' if schedule is None else f' (schedule: {schedule})'}, for {most}"
        f"{many(epochs, 'epoch')}"
    )
    if rule is not None:
        of = {"best": "of its best evaluation", "last": "that it had last"}[rule.restore]
        text += (
            f"; each network stopped after {many(rule.patience, 'evaluation')} without a lower "
            f"validation {rule.monitor}, and kept the weights {of}"
        )
    return text


def _of_train(config: Config) -> str:
    train = config.train
    way = _way(train.mode, train.batch_size)
    schedule = None if train.schedule.is_constant else train.schedule.word
    how, rule = f"{_optimizer(config)} {way}", train.early_stopping
    return _steps(how, train.eta, schedule, train.epochs, rule)


def _way(mode: Mode, batch: int | None) -> str:
    if mode == "full-batch":
        return "in full batch"
    return f"in batches of {batch:,}" if batch else "in batches"


def _optimizer(config: Config) -> str:
    section = config.optimizer
    keys: Mapping[str, Any] = section.keys
    name = "gradient descent" if section.called == "sgd" else section.declaration.make.__name__
    said = []
    if keys.get("momentum"):
        nesterov = "Nesterov " if keys.get("nesterov") else ""
        said.append(f"{nesterov}momentum {keys['momentum']:g}")
    if keys.get("weight_decay"):
        said.append(f"weight decay {keys['weight_decay']:g}")
    if keys.get("clip_norm"):
        said.append(f"gradients clipped to a norm of {keys['clip_norm']:g}")
    return f"{name} with {listed(said)}" if said else name


def _seeds(results: Results, config: Config | None) -> str:
    count = len(results.seeds)
    if count == 1:
        return f"this was done once, with seed {results.seeds[0]}"
    text = f"this was done with {many(count, 'seed')} ({seed_range(results.seeds)})"
    if results.data.division is not None:
        return f"{text}: {results.data.division}"
    order = ", initial weights and order of batches"
    if list(results.modes) == ["full-batch"]:
        order = " and initial weights"
    return f"{text}, each with its own samples{order}"
