"""The keys of a config, and the steps from a YAML file to a checked `Config`.

Nothing is imported here: `model` imports torch, and lists of runs need only `source`.
"""
