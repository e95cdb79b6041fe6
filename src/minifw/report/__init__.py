"""Results to statistics, tables and figures, read from a run directory."""
