"""Compiles one training step to machine code: record, plan, emit C, build."""
