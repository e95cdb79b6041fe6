"""A config from its file: every fault at once, each with its place.

The stages: text to plain values, each with line and column, with `--set` overrides (`yaml12.py`);
pydantic in strict mode (the models of `model.py`; `messages.py` words its faults); checks across
keys. The faults of all stages are reported together: a valid placeholder replaces each faulty
value, so that the next stage can check the rest.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minifw.config import altered, axes, checked, dividing, own, spelled, yaml12
from minifw.config.axes import Value
from minifw.config.code import Code
from minifw.config.columned import AtPath
from minifw.config.model import Config
from minifw.config.own_table import OwnTable
from minifw.config.source import Fault, Source, kind_of
from minifw.config.targets import OPTIONAL, note_task
from minifw.errors import ArtefactError, ConfigError


def load(path: Path, overrides: Sequence[str] = (), *, allow_code: bool = False) -> Config:
    """Read, override and validate the config at `path`; see `load_with_source`."""
    return load_with_source(path, overrides, allow_code=allow_code)[0]


def load_with_source(
    path: Path,
    overrides: Sequence[str] = (),
    *,
    allow_code: bool = False,
    option: str = "--set",
) -> tuple[Config, Source]:
    """Read, override and validate the config at `path`; return it with the places of its values.

    Args:
        overrides: `section.key=value` each, the value as YAML; they replace the file's values.
        allow_code: whether the config may run the Python files that it names; see `code.py`.
        option: the name of overrides in messages.

    Raises:
        ConfigError: with all faults, one line each.
        StorageError: the file exists and cannot be read.

    """
    return read(path, allow_code=allow_code, option=option).config(overrides)


def read(path: Path, *, allow_code: bool = False, option: str = "--set") -> Parsed:
    """Read the config at `path`, from which `Parsed.config` makes configs.

    Arguments and errors are those of `load_with_source`.
    """
    code = Code(allow_code)
    source = Source(str(path), code=code.files, option=option)
    return Parsed(yaml12.read(path), path, code, source)


def of_run(text: str, path: Path, code: Code | None = None) -> Config:
    """Validate the text of a run's config; see `load_with_source`.

    No file is read: `path` is named in messages, and paths in the text are relative to its folder.
    `code` has the Python files that the run keeps.

    Raises:
        UsageError: it would run code without permission.
        ArtefactError: it is not a config; one line gives the first fault.

    """
    code = code or Code()
    try:
        yaml12.check_size(len(text.encode()), str(path))
        return of_text(text, path, (), code)[0]
    except ConfigError as error:
        if code.refused:
            raise
        more = f", and {len(error.faults) - 1} more" if len(error.faults) > 1 else ""
        raise ArtefactError(f"{error.faults[0]}{more}") from None


def of_text(
    text: str,
    path: Path,
    overrides: Sequence[str],
    code: Code,
    source: Source | None = None,
) -> tuple[Config, Source]:
    """Validate a text; `source` names it and its overrides in messages, by default by the path.

    `code` is the code that the config may run; its files become those of the source.
    """
    return Parsed(text, path, code, source).config(overrides)


class Parsed:
    """A config's text, parsed once: configs with different overrides are made from it.

    The arguments are those of `of_text`.
    """

    def __init__(self, text: str, path: Path, code: Code, source: Source | None = None) -> None:
        self.path, self.code, self.size = path, code, len(text)
        self.source = source = source or Source(str(path), code=code.files)
        self.raw = yaml12.parse(text, source)
        if not isinstance(self.raw, dict):
            if not source.faults and self.raw is None:
                needed = f"the file is empty; a config needs at least {_required()}"
                raise ConfigError([f"{source.name}: {needed}"])
            if not source.faults:
                wrong = f"expects `key: value` lines, got {kind_of(self.raw)}"
                source.faults.append(Fault(source.place(()), None, wrong))
            raise source.error()

    def config(
        self, overrides: Sequence[str] = (), cell: Sequence[tuple[str, Value]] | None = None
    ) -> tuple[Config, Source]:
        """Return the config with these overrides, and the places of its values.

        `cell` has the keys and values of a cell of a sweep, which win over `overrides`; the config
        of a cell has no section `sweep`.
        """
        raw, source, path = copy.deepcopy(self.raw), self.source.copy(), self.path
        before = spelled.kinds(raw)
        for assignment in overrides:
            key, equals, value = assignment.partition("=")
            yaml12.override(raw, f"{spelled.written_out(raw, key, source)}{equals}{value}", source)
        if cell is not None:
            raw.pop("sweep", None)
            for key, found in cell:
                key = spelled.written_out(raw, key, source)
                yaml12.put(raw, key, found.value, found.place, source)
        spelled.forget_old_kinds(raw, before, source)
        spelled.spell_out(raw, source)
        own.take(raw, source, self.code, path.absolute().parent)
        made = checked.validate(raw, source)
        checked.check_train(made, source)
        checked.check_chain(made, source)
        note_task(made.config, source, made.faulty)
        altered.note_altered(made.config, source, made.faulty)
        dividing.note_division(made.config, source, made.faulty)
        checked.check_numbers(made, source)
        if made.config.sweep is not None and "sweep" not in made.faulty:
            axes.of_section(made.config.sweep, source)
        if source.faults:
            raise source.error()
        config = _with_whole_paths(made.config, source, path.absolute().parent)
        given = [*overrides, *(str(value.value) for _, value in cell or ())]
        if self.size + sum(map(len, given)) > _SHORT:
            _check_size(config, source)
        return config, source


def _with_whole_paths(config: Config, source: Source, folder: Path) -> Config:
    """Return the config with absolute paths of data.

    A path in the file is relative to its folder, one on the command line to the current.
    """
    paths = {}
    keys: tuple[str, ...] = ("path", "test_path") if isinstance(config.data, AtPath) else ()
    if isinstance(config.data, OwnTable):
        keys = ("python" if config.data.folder is None else "folder",)
    for key in keys:
        if (given := getattr(config.data, key, None)) is not None:
            place = source.place(("data", key))
            base = Path.cwd() if place.given and not place.line else folder
            if key == "python":
                paths["folder"] = str(base)
            else:
                paths[key] = str(base / given)
    if not paths:
        return config
    data = config.data.model_copy(update=paths)
    return config.model_copy(update={"data": data})


def dump(config: Config) -> str:
    """Return the config as YAML with every key spelled out; it loads as an equal config.

    `data.validation`, `train.early_stopping` and `sweep` are left out where they are not used: most
    configs have none of them.
    """
    values = config.model_dump(mode="json")
    for key in ("validation", *OPTIONAL, *altered.KEYS, *dividing.OPTIONAL):
        if values["data"].get(key, ...) is None:
            del values["data"][key]
    if values["train"]["early_stopping"] is None:
        del values["train"]["early_stopping"]
    if values["sweep"] is None:
        del values["sweep"]
    return yaml12.dump(values)


def compact(config: Config) -> str:
    """Return the config as YAML in one line, for programs; it is written much faster."""
    text = json.dumps(config.model_dump(mode="json"), ensure_ascii=False)
    return text if text.isprintable() else dump(config)  # JSON has other escapes than YAML


_SHORT = 10_000
"""A config of at most this many characters is never too large when spelled out."""


def _check_size(config: Config, source: Source) -> None:
    """Check that the config with all keys spelled out, which a run keeps, can be read again."""
    values = config.model_dump(mode="json")
    # 100 bytes are left for what a run adds: a comment and the number of seeds.
    if _count(values) > yaml12.MAX_VALUES or (
        len(yaml12.dump(values).encode()) > yaml12.MAX_BYTES - 100
    ):
        most = f"{yaml12.MAX_VALUES} keys and values or {yaml12.MAX_BYTES} bytes"
        what = f"has more than {most} once every key is spelled out, as a run keeps it"
        raise ConfigError([f"{source.name}: {what}"])


def _count(value: Any) -> int:
    """Return how many keys and values there are, as `yaml12.parse` counts them."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(_count, value.values()))
    return 1 + (sum(map(_count, value)) if isinstance(value, list) else 0)


def _required() -> str:
    return ", ".join(key for key, value in Config.model_fields.items() if value.is_required())
