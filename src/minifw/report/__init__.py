"""Statistics, tables and figures of a run, read from its directory."""
