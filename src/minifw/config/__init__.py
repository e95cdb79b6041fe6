"""What a config may say, and how a YAML file becomes one that is checked.

The door names rooms: `model` brings torch along, and lists of runs need no more than `source`.
"""

__all__ = [
    "code",
    "loading",
    "model",
    "name",
    "packaged",
    "schema",
    "sections",
    "source",
    "values",
    "yaml12",
]
