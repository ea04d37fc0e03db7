"""Management commands of the library app."""
