"""A module that must not be imported."""

raise SystemExit(3)
