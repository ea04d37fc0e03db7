"""A small library whose slow work runs in background tasks."""
