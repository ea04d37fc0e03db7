"""The contract that code written for django-background-tasks 1.x relies on."""
