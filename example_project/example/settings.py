"""Settings of the example site: SQLite, mail written to files, everything under one folder.

Some environment variables change things without editing this file:

* ``EXAMPLE_DATA_DIR``: where the database, media files and mail go (default: ``var/``).
* ``EXAMPLE_LEASE_SECONDS``: how soon the tasks of a dead worker are taken over (default: 60).
* ``EXAMPLE_TASKS_BACKEND``: what runs the tasks of ``postcards``, an app for ``django.tasks``.
* ``EXAMPLE_DEMO``: everybody on this machine is the administrator (``demo.py --serve`` sets it).
"""

import os
from importlib.util import find_spec
from pathlib import Path

import django

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("EXAMPLE_DATA_DIR", BASE_DIR / "var"))
DATA_DIR.mkdir(parents=True, exist_ok=True)

# Good enough for a site that listens on 127.0.0.1 only. Never deploy these three lines.
SECRET_KEY = "not-a-secret-this-is-an-example"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "background_task",
    "library",
    "trouble",
]

# The tasks of Django's own framework, or before Django 6.0 of its backport, where that is there.
TASKS_BACKEND = os.environ.get("EXAMPLE_TASKS_BACKEND", "background_task.backends.DatabaseBackend")
if django.VERSION >= (6, 0) or find_spec("django_tasks"):
    TASKS = {"default": {"BACKEND": TASKS_BACKEND, "QUEUES": ["default", "post"]}}
    INSTALLED_APPS += ["postcards"]
if django.VERSION < (6, 0) and find_spec("django_tasks"):
    INSTALLED_APPS += ["django_tasks"]
if TASKS_BACKEND.startswith("django_tasks_db."):
    INSTALLED_APPS += ["django_tasks_db"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "example.middleware.content_security_policy",
]
IS_DEMO = os.environ.get("EXAMPLE_DEMO") == "1"
if IS_DEMO:
    MIDDLEWARE += ["example.middleware.log_in_everybody"]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

ROOT_URLCONF = "example.urls"
WSGI_APPLICATION = "example.wsgi.application"

sqlite_options: dict[str, object] = {"timeout": 20}
if django.VERSION >= (5, 1):
    # A transaction that reads first and writes later would otherwise fail at once with
    # "database is locked" whenever the site and the worker write at the same moment.
    sqlite_options["transaction_mode"] = "IMMEDIATE"
    sqlite_options["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "db.sqlite3",
        "OPTIONS": sqlite_options,
    },
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = DATA_DIR / "media"

# Mail becomes one file per message, so that it can be looked at without a mail server.
DEFAULT_FROM_EMAIL = "library@example.org"
MAIL_DIR = DATA_DIR / "mail"
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "OPTIONS": {"file_path": MAIL_DIR},
        },
    }
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = MAIL_DIR

BACKGROUND_TASK_ASYNC_THREADS = 3
# What tasks log is shown on their pages in the admin.
BACKGROUND_TASK_LOG_LEVEL = "INFO"
if IS_DEMO:
    # Periodic tasks can be declared here, or at the function with @periodic.
    BACKGROUND_TASK_PERIODIC = {
        "report of the minute": {"task": "library.tasks.write_report", "schedule": 60},
    }
BACKGROUND_TASK_LEASE_SECONDS = int(os.environ.get("EXAMPLE_LEASE_SECONDS", "60"))
# How long a worker that is asked to stop lets running tasks finish. Whatever supervises it
# (deploy/supervisord.conf, deploy/example-worker.service) waits a little longer than this.
BACKGROUND_TASK_SHUTDOWN_SECONDS = 25
