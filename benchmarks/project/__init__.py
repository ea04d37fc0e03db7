"""The Django project that every queue is run in."""
