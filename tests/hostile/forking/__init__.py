"""An app whose tasks fork, and one that will not be interrupted."""
