"""Shim for tools that still look for a setup.py; every fact stands in pyproject.toml."""

from setuptools import setup

setup()
