"""Short forms of layers, and kinds that `--set` changes: from what was written to all keys.

A layer may be one word, `relu`, or one key with its size or its options, `linear: 25`.
"""

from __future__ import annotations

from typing import Any

from minifw.config import own, yaml12
from minifw.config.messages import keys_of_kind
from minifw.config.short import kind_key
from minifw.config.source import KeyPath, Source


def kinds(raw: dict[str, Any]) -> dict[KeyPath, str]:
    """Return the kind of each section and layer that has one."""
    network = raw.get("network")
    layers = enumerate(network) if isinstance(network, list) else ()
    sections: list[tuple[KeyPath, Any]] = [((key,), value) for key, value in raw.items()]
    sections += [(("network", position), layer) for position, layer in layers]
    found = {}
    for path, value in sections:
        kind = value.get("kind") if isinstance(value, dict) else value
        if isinstance(kind, str):
            found[path] = kind
    return found


def forget_old_kinds(raw: dict[str, Any], before: dict[KeyPath, str], source: Source) -> None:
    """Drop the keys of the old kind where `--set` has changed a kind.

    `--set data.kind=moons` must not complain about the disk's radius in the file. Keys that `--set`
    itself gave are kept, and so are keys that neither kind knows, since those are mistakes.
    """
    for path, kind in kinds(raw).items():
        old = before.get(path, kind)
        section: Any = raw
        for part in path:
            section = section[part]
        if kind == old or not isinstance(section, dict):
            continue
        known_before, known_now = keys_of_kind(path, old), keys_of_kind(path, kind)
        for key in [*section] if known_now else []:
            given = source.place((*path, key)).given
            if key in known_before - known_now and not given:
                del section[key]
                for kept in (source.places, source.keys):
                    for below in [p for p in kept if p[: len(path) + 1] == (*path, key)]:
                        del kept[below]


def written_out(raw: dict[str, Any], key: str, source: Source) -> str:
    """Return the key that an override of `key` sets, after making the layer fit for it.

    `network.0.out_features` writes the short form `linear: 25` out; `network.0.linear` is
    `network.0.out_features` where the layer is written out already.
    """
    network, path = raw.get("network"), yaml12.key_path(key)
    if not isinstance(network, list) or path[:1] != ("network",) or len(path) < 3:
        return key
    position = path[1]
    if not isinstance(position, int) or position >= len(network):
        return key
    layer = network[position]
    kind = kind_key(layer)
    if isinstance(layer, dict) and kind is not None and path[2] != kind:
        spell_out(raw, source)
        rest = layer[kind]
        keys = rest if isinstance(rest, dict) else {own.short_key(kind): rest}
        more = {key: value for key, value in layer.items() if key != kind}
        network[position] = {"kind": kind, **keys, **more}
    elif isinstance(layer, dict) and len(path) == 3 and path[2] == layer.get("kind"):
        return f"network.{position}.{own.short_key(layer['kind'])}"
    return key


def spell_out(raw: dict[str, Any], source: Source) -> None:
    """Give each key that a short form leaves out the place of the short form.

    With `- linear: 25` in line 9, network.0.kind and network.0.out_features are in line 9.
    """
    network = raw.get("network")
    layers = network if isinstance(network, list) else []
    for kept in (source.places, source.keys):
        for path in [p for p in kept if p[:1] == ("network",) and len(p) > 2]:
            position, layer = path[1], None
            # It is not an index of a layer after `--set network=relu --set network.0.linear=3`.
            if isinstance(position, int) and position < len(layers):
                layer = layers[position]
            kind = kind_key(layer)
            if kind is None or path[2] != kind:
                continue
            size = own.short_key(kind)
            if len(path) > 3:
                inner = path[3:] if isinstance(path[3], str) else (size, *path[3:])
                kept[(*path[:2], *inner)] = kept[path]
            else:
                kept[(*path[:2], "kind")] = source.keys[path]
                if isinstance(layer, dict) and not isinstance(layer[kind], dict):
                    kept[(*path[:2], size)] = kept[path]
            if path in source.bad:
                source.bad.add((*path[:2], *(path[3:] or (size,))))
    for path in kinds(raw):
        if path in source.places:
            source.places.setdefault((*path, "kind"), source.places[path])
