"""The keys of a config, and the steps from a YAML file to a checked `Config`.

The door names rooms: `model` brings torch along, and lists of runs need no more than `source`.
"""

__all__ = [
    "altered",
    "axes",
    "code",
    "columned",
    "declared",
    "dividing",
    "fields",
    "generated",
    "heads",
    "layers",
    "loading",
    "mode",
    "model",
    "name",
    "networks",
    "own_table",
    "packaged",
    "parts",
    "schema",
    "sections",
    "source",
    "starter",
    "tabled",
    "values",
    "wiring",
    "yaml12",
]
