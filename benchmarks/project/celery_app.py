"""Celery's application; imported for Celery only."""

from __future__ import annotations

from celery import Celery

from .subject import PLACE

app = Celery("benchmark", broker=PLACE.url())
app.conf.task_ignore_result = True
app.conf.broker_connection_retry_on_startup = True
