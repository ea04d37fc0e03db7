"""Measuring this library beside its peers, and beside bare SQL; `run.py` is the command."""
