"""Migrations of the library app."""
