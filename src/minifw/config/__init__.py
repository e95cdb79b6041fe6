"""What a config may say, and how a YAML file becomes one that is checked.

Nothing is imported here: `model` brings torch along, and lists of runs need no more than `source`.
"""
