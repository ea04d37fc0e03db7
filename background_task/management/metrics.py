"""The port at which a worker tells its metrics."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

#: What serves them; an extra, which not everybody has installed.
MODULE = "background_task.contrib.prometheus"
USUAL_ADDRESS = "127.0.0.1"


def serve_metrics(options: Mapping[str, Any]) -> None:
    """Serve the metrics if the options say so, until the process ends.

    Raises:
        CommandError: The extra is not installed, the port cannot be had, or an address was given
            without a port.
    """
    port, given = options.get("metrics_port"), options.get("metrics_address")
    if port is None:
        if given is not None:
            raise CommandError(
                f"--metrics-address {given} says where, and --metrics-port that at all; give both"
            )
        return
    address = USUAL_ADDRESS if given is None else given
    try:
        importlib.import_module(MODULE).serve(port, address=address)
    except ImportError as error:
        raise CommandError(
            "--metrics-port needs the extra prometheus: "
            'pip install "django-background-tasks[prometheus]"'
        ) from error
    except OSError as error:
        raise CommandError(
            f"--metrics-port {port}: {error.strerror or error} at {address}; use an address of "
            "this machine, and a port that nobody else listens at"
        ) from None
