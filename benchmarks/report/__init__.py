"""The report: goals, tables and plots, made from the result lines."""

from .page import write_report

__all__ = ["write_report"]
