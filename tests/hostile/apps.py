"""An app whose worker lives in a strange world.

HOSTILE_CLOCK: its clock is so many seconds off. HOSTILE_TWIN: it has the same host name and process
number as every other such worker, as in containers.
"""

import os
import socket
import time
from datetime import timedelta

from django.apps import AppConfig
from django.utils import timezone


class HostileConfig(AppConfig):
    name = "tests.hostile"
    label = "hostile"

    def ready(self):
        if "HOSTILE_CLOCK" in os.environ:
            self.shift_clock(float(os.environ["HOSTILE_CLOCK"]))
        if "HOSTILE_TWIN" in os.environ:
            socket.gethostname = lambda: "container"
            os.getpid = lambda: 1

    def shift_clock(self, seconds):
        real_now, real_time, shift = timezone.now, time.time, timedelta(seconds=seconds)
        timezone.now = lambda: real_now() + shift
        time.time = lambda: real_time() + seconds
