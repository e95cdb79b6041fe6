"""Mistakes in a config, with the exact lines of the error of each.

`EDITS` replaces a part of `GOOD` each; `FILES` are whole files. `OVERRIDES` are words after `--set`.
"""

from __future__ import annotations

from typing import get_args

from minifw.config import sections
from minifw.config.model import TABLED

LAYERS = ", ".join(kind for model in sections.LAYERS for kind in model.declarations)
DATA = ", ".join(
    [
        *(kind for model in sections.DATA for kind in model.declarations),
        *(get_args(model.model_fields["kind"].annotation)[0] for model in TABLED),
    ]
)

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

# fmt: off
EDITS: list[tuple[str, str, list[str]]] = [
    ('eta: 1e-3', 'eta: 3.5e38', [
        'a.yaml:9:8: train.eta: must be at most 3.4028e+38 for dtype float32, got 3.5e+38',
    ]),
    ('eta: 1e-3', 'eta: 1e-46', [
        'a.yaml:9:8: train.eta: 1e-46 is 0 in dtype float32; dtype: float64 can hold it',
    ]),
    ('kind: disk, train: 50, test: 60', 'kind: disk, radius: 1e200, center: [1, -1e37]', [
        'a.yaml:2:28: data.radius: must be at most 3.4028e+36 for dtype float32, got 1e+200',
        'a.yaml:2:47: data.center.1: must be at least -3.4028e+36 for dtype float32, got -1e+37',
    ]),
    ('loss: mse', 'loss: mse\ninit: {kind: normal, std: 1e37}\noptimizer: {momentum: 0.99999999}', [
        'a.yaml:8:27: init.std: must be at most 3.4028e+36 for dtype float32, got 1e+37',
        'a.yaml:9:23: optimizer.momentum: 0.99999999 is 1 in dtype float32; dtype: float64 can hold it',
    ]),
    ('kind: disk, train: 50, test: 60', 'kind: disk, radius: 1e200}\ndtype: float64\ninit: {kind: normal, std: 1e160', [
        'a.yaml:2:28: data.radius: must be at most 1e+150 for dtype float64, got 1e+200',
        'a.yaml:4:27: init.std: must be at most 1e+150 for dtype float64, got 1e+160',
    ]),
    ('epochs: 3', 'epcohs: 3', [
        "a.yaml:10:3: train.epcohs: unknown key; did you mean 'epochs'?",
        'a.yaml:9:3: train.epochs: this key is missing',
    ]),
    ('eta: 1e-3', 'eta: fast', [
        "a.yaml:9:8: train.eta: must be a number, got 'fast' (text)",
    ]),
    ('eta: 1e-3', 'eta: "0.1"', [
        "a.yaml:9:8: train.eta: must be a number, got '0.1' (text: remove the quotes)",
    ]),
    ('eta: 1e-3', 'eta: true', [
        'a.yaml:9:8: train.eta: must be a number, got true',
    ]),
    ('eta: 1e-3', 'eta: 0', [
        'a.yaml:9:8: train.eta: must be above 0.0, got 0',
    ]),
    ('eta: 1e-3', 'eta: .nan', [
        'a.yaml:9:8: train.eta: must be a finite number, got nan',
    ]),
    ('eta: 1e-3', 'eta: .inf', [
        'a.yaml:9:8: train.eta: must be a finite number, got inf',
    ]),
    ('eta: 1e-3', 'eta: 1e999', [
        'a.yaml:9:8: train.eta: must be a finite number, got inf',
    ]),
    ('eta: 1e-3', 'eta:', [
        'a.yaml:9:7: train.eta: must be a number, got nothing',
    ]),
    ('eta: 1e-3', 'eta: 0x_', [
        "a.yaml:9:8: train.eta: must be a number, got '0x_' (text)",
    ]),
    ('eta: 1e-3', 'eta: 2024-13-45', [
        "a.yaml:9:8: train.eta: must be a number, got '2024-13-45' (text)",
    ]),
    ('eta: 1e-3', 'eta: 1:30', [
        "a.yaml:9:8: train.eta: must be a number, got '1:30' (text)",
    ]),
    ('eta: 1e-3', 'eta: 1_000', [
        "a.yaml:9:8: train.eta: must be a number, got '1_000' (text)",
    ]),
    ('eta: 1e-3', "eta: " + "9" * 5000, [
        "a.yaml:9:8: train.eta: not a number that can be used: '99999999999999999999999999999999999…'",
    ]),
    ('epochs: 3', 'epochs: 3.0', [
        'a.yaml:10:11: train.epochs: must be a whole number, got 3.0',
    ]),
    ('epochs: 3', 'epochs: 999999999999999999999999999999', [
        'a.yaml:10:11: train.epochs: must be at most 1000000000, got 999999999999999999999999999999',
    ]),
    ('epochs: 3', 'epochs: "3"', [
        "a.yaml:10:11: train.epochs: must be a whole number, got '3' (text: remove the quotes)",
    ]),
    ('epochs: 3', 'epochs: on', [
        "a.yaml:10:11: train.epochs: must be a whole number, got 'on' (text)",
    ]),
    ('epochs: 3', 'epochs: 3\n  compile: "true"', [
        "a.yaml:11:12: train.compile: must be one of auto, true, false, got 'true' (text: remove the quotes)",
    ]),
    ('epochs: 3', 'epochs: 3\n  compile: on', [
        "a.yaml:11:12: train.compile: must be one of auto, true, false, got 'on' (text)",
    ]),
    ('epochs: 3', 'epochs: 3\n  checkpoint_every: 0', [
        'a.yaml:11:21: train.checkpoint_every: must be at least 1, got 0',
    ]),
    ('kind: disk, train: 50, test: 60', 'kind: disk, train: 50, test: 60, normalize: "yes"', [
        "a.yaml:2:52: data.normalize: must be one of true, false, together, got 'yes' (text)",
    ]),
    ('- relu', '- rleu', [
        "a.yaml:5:5: network.1: unknown kind 'rleu'; did you mean 'relu'?; a class of your own goes by {python: file.Class}",
    ]),
    ('- relu', '- relu: 3', [
        'a.yaml:5:5: network.1: this layer takes no value',
    ]),
    ('- relu', '- {out_features: 3, bias: true}', [
        "a.yaml:5:5: network.1: a layer is a word (relu), one key (linear: 25), or a mapping with 'kind'",
    ]),
    ('- relu', '- [relu]', [
        "a.yaml:5:5: network.1: a layer is a word (relu), one key (linear: 25), or a mapping with 'kind', got a list",
    ]),
    ('- relu', '- 7', [
        "a.yaml:5:5: network.1: a layer is a word (relu), one key (linear: 25), or a mapping with 'kind', got 7",
    ]),
    ('- relu', '-', [
        "a.yaml:5:4: network.1: a layer is a word (relu), one key (linear: 25), or a mapping with 'kind', got nothing",
    ]),
    ('- relu', '- {kind: }', [
        f'a.yaml:5:12: network.1.kind: must be one of {LAYERS}, got nothing',
    ]),
    ('- relu', '- linear', [
        'a.yaml:5:5: network.1.out_features: this key is missing',
    ]),
    ('- linear: 4', '- linear: 4.5', [
        'a.yaml:4:13: network.0.out_features: must be a whole number, got 4.5',
    ]),
    ('- linear: 4', '- linear: {out_features: 4, in_features: 3}', [
        'a.yaml:4:5: network.0: expects 3 inputs, but the data (line 2) has 2',
    ]),
    ('- linear: 2', '- linear: {out_features: 2, in_features: 30}', [
        'a.yaml:6:5: network.2: expects 30 inputs, but network.0 (line 4) gives 4',
    ]),
    ('- linear: 2', '- linear: 3', [
        'a.yaml:6:5: network.2: 2 classes, the last layer has 3 outputs; --set network.2.out_features=2',
    ]),
    ('- linear: 4\n  - relu\n  - linear: 2', '- relu', [
        'a.yaml:4:3: network: needs at least one linear layer',
    ]),
    ('kind: disk', 'kind: dsik', [
        "a.yaml:2:14: data.kind: unknown kind 'dsik'; did you mean 'disk'?; a class of your own goes by {python: file.Class}",
    ]),
    ('kind: disk, ', '', [
        "a.yaml:2:7: data: the key 'kind' is missing",
    ]),
    ('kind: disk', 'kind:', [
        "a.yaml:2:12: not valid YAML: found unexpected ':'",
    ]),
    ('kind: disk', 'kind: 3', [
        f'a.yaml:2:14: data.kind: must be one of {DATA}, got 3',
    ]),
    ('train: 50', 'noise: 1', [
        "a.yaml:2:20: data.noise: unknown key; did you mean 'label_noise'?",
    ]),
    ('kind: disk', 'kind: disk, center: [0.5]', [
        'a.yaml:2:28: data.center.1: this item is missing',
    ]),
    ('kind: disk', 'kind: disk, center: [0, 0, 0]', [
        'a.yaml:2:28: data.center: must have at most 2 item(s), got 3',
    ]),
    ('kind: disk, train: 50, test: 60', "kind: csv, path: ''", [
        'a.yaml:2:25: data.path: must not be empty',
    ]),
    ('kind: disk, train: 50, test: 60', 'kind: csv, path: a.csv, train: 1.0', [
        'a.yaml:2:39: data.train: must be a fraction below 1 or a whole number of samples, got 1.0',
    ]),
    ('kind: disk, train: 50, test: 60', 'kind: csv, path: a.csv, train: 0', [
        'a.yaml:2:39: data.train: must be a fraction below 1 or a whole number of samples, got 0',
    ]),
    ('{kind: disk, train: 50, test: 60}', '[disk]', [
        "a.yaml:2:7: data: must be a word or a mapping with 'kind', got a list",
    ]),
    ('{kind: disk, train: 50, test: 60}', '12', [
        "a.yaml:2:7: data: must be a word or a mapping with 'kind', got 12",
    ]),
    ('loss: mse', 'loss: msee', [
        "a.yaml:7:7: loss: unknown kind 'msee'; did you mean 'mse'?; a class of your own goes by {python: file.Class}",
    ]),
    ('loss: mse\n', '', [
        'a.yaml:1:1: loss: this key is missing',
    ]),
    ('loss: mse', 'loss: {kind: }', [
        'a.yaml:7:14: loss.kind: must be one of mse, l1, cross-entropy, bce, huber, got nothing',
    ]),
    ('name: good', 'name: ../up', [
        "a.yaml:1:7: name: must be 1 to 64 letters, digits, - and _, a letter or digit first, got '../up'",
    ]),
    ('name: good', 'name: /etc/passwd', [
        "a.yaml:1:7: name: must be 1 to 64 letters, digits, - and _, a letter or digit first, got '/etc/passwd'",
    ]),
    ('name: good', 'name: CON', [
        "a.yaml:1:7: name: must not be a name that Windows reserves, got 'CON'",
    ]),
    ('name: good', 'name: "a\\x1b[31m"', [
        "a.yaml:1:7: name: must be 1 to 64 letters, digits, - and _, a letter or digit first, got 'a\\x1b[31m'",
    ]),
    ('name: good', 'name: "[/x]"', [
        "a.yaml:1:7: name: must be 1 to 64 letters, digits, - and _, a letter or digit first, got '[/x]'",
    ]),
    ('name: good', 'name: <b>x</b>', [
        "a.yaml:1:7: name: must be 1 to 64 letters, digits, - and _, a letter or digit first, got '<b>x</b>'",
    ]),
    ('name: good', 'name: .hidden', [
        "a.yaml:1:7: name: must be 1 to 64 letters, digits, - and _, a letter or digit first, got '.hidden'",
    ]),
    ('name: good', "name: " + "n" * 65, [
        "a.yaml:1:7: name: must be 1 to 64 letters, digits, - and _, a letter or digit first, got 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn…'",
    ]),
    ('name: good', 'name: 12', [
        'a.yaml:1:7: name: must be text, got 12',
    ]),
    ('name: good', 'name: good\nname: again', [
        'a.yaml:2:1: name: this key is given twice; first in line 1',
    ]),
    ('name: good', 'name: &x good', [
        'a.yaml:1:7: name: anchors (&name) are not allowed',
    ]),
    ('name: good', 'name: !!str good', [
        'a.yaml:1:7: name: tags (tag:yaml.org,2002:str) are not allowed',
    ]),
    ('name: good', 'name: *x', [
        'a.yaml:1:7: name: aliases (*name) are not allowed',
    ]),
    ('name: good', '<<: {name: good}', [
        'a.yaml:1:1: <<: merge keys (<<) are not allowed',
        'a.yaml:1:1: name: this key is missing',
    ]),
    ('name: good', '? [a]\n: 1\nname: good', [
        'a.yaml:1:3: a key must be a word',
    ]),
    ('loss: mse', 'loss: [', [
        "a.yaml:9:6: not valid YAML: did not find expected ',' or ']'",
    ]),
    ('epochs: 3', 'epochs: 3\n---\nname: b', [
        'a.yaml:11:1: one document a file; a second one begins here',
    ]),
    ('epochs: 3', '\tepochs: 3', [
        'a.yaml:10:3: not valid YAML: found a tab character that violates indentation',
    ]),
    ('name: good', '%TAG !a! x\n---\nname: good', [
        'a.yaml:1:1: tags (%TAG) are not allowed',
    ]),
    ('name: good', 'name: \x00', [
        'a.yaml:1:7: character U+0000 is not allowed',
    ]),
    ('name: good', 'name: \x1b[31m', [
        'a.yaml:1:7: character U+001B is not allowed; in double quotes "\\x1b" stands for it',
    ]),
    ('epochs: 3', 'epochs: 3\n"\\e[31mred": 1', [
        'a.yaml:11:1: \\x1b[31mred: unknown key; known here: data, device, dtype, init, loss, name, network, optimizer, seed, seeds, sweep, train',
    ]),
    ('epochs: 3', "epochs: 3\nx: " + "[" * 50, [
        'a.yaml:11:23: nested more than 20 deep',
    ]),
    ('epochs: 3', 'epochs: 3\n  early_stopping: {patience: 5}', [
        'a.yaml:11:19: train.early_stopping: needs samples for validation; data.validation=0.2 keeps '
        'some of those for training',
    ]),
    ('epochs: 3', 'epochs: 3\n  early_stopping: {patience: 0, monitor: test, restore: no}', [
        'a.yaml:11:30: train.early_stopping.patience: must be at least 1, got 0',
        "a.yaml:11:42: train.early_stopping.monitor: must be one of loss, error, got 'test' (text)",
        "a.yaml:11:57: train.early_stopping.restore: must be one of best, last, got 'no' (text)",
    ]),
    ('epochs: 3', 'epochs: 3\n  mode: sgd', [
        "a.yaml:9:3: train.batch_size: this key is missing; mode 'sgd' needs it",
    ]),
    ('epochs: 3', 'epochs: 3\n  batch_size: 51\n  mode: sgd', [
        'a.yaml:11:15: train.batch_size: must be at most data.train = 50 (line 2), got 51',
    ]),
    ('epochs: 3', 'epochs: 3\ndevice: gpu', [
        "a.yaml:11:9: device: must be one of cpu, cuda, got 'gpu' (text); did you mean 'cpu'?",
    ]),
    ('epochs: 3', 'epochs: 3\nseed: -1', [
        'a.yaml:11:7: seed: must be at least 0, got -1',
    ]),
    ('epochs: 3', 'epochs: 3\nseeds: 1000000', [
        'a.yaml:11:8: seeds: must be at most 100000, got 1000000',
    ]),
    ('epochs: 3', 'epochs: 3\noptimizer: {momentum: 1}', [
        'a.yaml:11:23: optimizer.momentum: must be below 1.0, got 1',
    ]),
    ('epochs: 3', 'epochs: 3\ninit: {kind: normal, std: -1}', [
        'a.yaml:11:27: init.std: must be at least 0.0, got -1',
    ]),
    ('epochs: 3', 'epochs: 3\ninit: {kind: zeros, std: 1}', [
        'a.yaml:11:21: init.std: unknown key; known here: kind',
    ]),
]

FILES: list[tuple[str | bytes, str]] = [
    ("", "a.yaml: the file is empty; a config needs at least name, data, network, loss, train"),
    ("# only a comment\n", "a.yaml: the file is empty; a config needs at least name, data, network, loss, train"),
    ("- a\n- b\n", "a.yaml:1:1: expects `key: value` lines, got a list"),
    ("just words", "a.yaml:1:1: expects `key: value` lines, got text"),
    ("a: 1\n---\nb: 2\n", "a.yaml:2:1: one document a file; a second one begins here"),
    (b"name: \xff\n", "a.yaml:1:7: not UTF-8 text (byte 6)"),
    (b"a: 1\n\xc3\xa9: \xc3\n", "a.yaml:2:4: not UTF-8 text (byte 9)"),
    ("a: " + "[" * 50 + "]" * 50, "a.yaml:1:23: nested more than 20 deep"),
    ("[" * 900, "a.yaml:1:21: nested more than 20 deep"),
    ("{a: " * 30, "a.yaml:1:81: nested more than 20 deep"),
    ("- 1\n" * 20_000, "a.yaml:10000:3: more than 10000 keys and values; is this a config?"),
    ("a: \x00", "a.yaml:1:4: character U+0000 is not allowed"),
    ("a: 1\nb: c\x85d", "a.yaml:2:5: character U+0085 is not allowed; in double quotes \"\\x85\" stands for it"),
    ("a" * (1 << 20) + "a", "a.yaml: larger than 1048576 bytes; is this a config?"),
    ("%TAG !a! x\n" * 20_000, "a.yaml:1:1: tags (%TAG) are not allowed"),
    ("%YAML 1." + "1" * 10_000 + "\n---\na: 1", "a.yaml:1:18: not valid YAML: found extremely long version number"),
    ('"' + "\\ud800" + '"', "a.yaml:1:4: not valid YAML: found invalid Unicode character escape code"),
]  # fmt: skip

OVERRIDES: list[tuple[str, str]] = [
    ("train.eta", "--set train.eta: expects section.key=value, as in train.eta=0.1"),
    ("=3", "--set =3: expects section.key=value, as in train.eta=0.1"),
    ("train..eta=3", "--set train..eta=3: expects section.key=value, as in train.eta=0.1"),
    ("train.eta=fast", "--set train.eta=fast: train.eta: must be a number, got 'fast' (text)"),
    ("train.epcohs=3", "--set train.epcohs=3: train.epcohs: unknown key; did you mean 'epochs'?"),
    ("train.eta.x=3", "--set train.eta.x=3: there is nothing at train.eta.x"),
    ("network.9=relu", "--set network.9=relu: there is nothing at network.9"),
    ("network.x=relu", "--set network.x=relu: there is nothing at network.x"),
    ("train.eta=[", "--set train.eta=[: train.eta: must be a number, got '[' (text)"),
    ("train.eta=&a 1", "--set train.eta=&a 1: train.eta: anchors (&name) are not allowed"),
    ("train.eta=\ud800", "--set train.eta=\\ud800: character U+D800 is not allowed"),
    ("train.\x1b[31m=1", "--set train.\\x1b[31m=1: train.\\x1b[31m: unknown key; known here: "
     "batch_size, checkpoint_every, compile, early_stopping, epochs, eta, eval_every, mode, record, "
     "schedule, tensorboard"),
    ("train.epochs=!!int 3", "--set train.epochs=!!int 3: train.epochs: tags (tag:yaml.org,2002:int) are not allowed"),
    ("seeds=0", "--set seeds=0: seeds: must be at least 1, got 0"),
    (".".join("a" * 30) + "=1", f"--set {'.'.join('a' * 30)}=1: nested more than 20 deep"),
    ("data.kind=mooons", "--set data.kind=mooons: data.kind: unknown kind 'mooons'; did you mean 'moons'?; a class of your own goes by {python: file.Class}"),
    ("data={kind: moons, radius: 1}", "--set data={kind: moons, radius: 1}: data.radius: unknown key; "
     "known here: feature_noise, imbalance, kind, label_noise, noise, normalize, share, test, train, validation"),
]  # fmt: skip
