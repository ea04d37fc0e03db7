"""Django settings of the tests, and of every process that the tests start.

`BACKGROUND_TASK_TEST_DATABASE` chooses the database (sqlite, postgresql, mariadb); runtests.py sets
it together with the address of the throwaway server. Started processes also get
`BACKGROUND_TASK_TEST_NAME` (the test database itself) and `BACKGROUND_TASK_TEST_SETTINGS` (a JSON
object of settings that differ); see tests/process.py.
"""

import json
import os
import tempfile
import uuid
from pathlib import Path
from typing import Any

import django

SECRET_KEY = "tests"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "background_task",
    "tests.app",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


def sqlite() -> dict[str, Any]:
    """A file, because threads and started processes share the database."""
    name = os.environ.get("BACKGROUND_TASK_TEST_NAME")
    file = Path(tempfile.gettempdir(), f"background_task_tests_{uuid.uuid4().hex}.sqlite3")
    options: dict[str, Any] = {"timeout": 30}
    if django.VERSION >= (5, 1):
        options["transaction_mode"] = "IMMEDIATE"
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name or ":memory:",
        "OPTIONS": options,
        "TEST": {"NAME": str(file)},
    }


def postgresql() -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.postgresql", **server_address()}


def mariadb() -> dict[str, Any]:
    """Pure Python PyMySQL stands in for mysqlclient, which needs a compiler to install."""
    import pymysql

    pymysql.version_info = (2, 2, 8, "final", 0)
    pymysql.install_as_MySQLdb()
    return {
        "ENGINE": "django.db.backends.mysql",
        "OPTIONS": {"charset": "utf8mb4"},
        "TEST": {"CHARSET": "utf8mb4"},
        **server_address(),
    }


def server_address() -> dict[str, Any]:
    return {
        "NAME": os.environ.get("BACKGROUND_TASK_TEST_NAME", "background_task"),
        "HOST": os.environ.get("BACKGROUND_TASK_TEST_HOST", "127.0.0.1"),
        "PORT": os.environ.get("BACKGROUND_TASK_TEST_PORT", ""),
        "USER": os.environ.get("BACKGROUND_TASK_TEST_USER", "background_task"),
        "PASSWORD": os.environ.get("BACKGROUND_TASK_TEST_PASSWORD", ""),
    }


DATABASE = os.environ.get("BACKGROUND_TASK_TEST_DATABASE", "sqlite")
DATABASES = {
    "default": {"sqlite": sqlite, "postgresql": postgresql, "mariadb": mariadb}[DATABASE]()
}

FRAMEWORK = "django.tasks" if django.VERSION >= (6, 0) else "django_tasks"
BACKEND = "background_task.backends.DatabaseBackend"
TASKS = {
    "default": {"BACKEND": BACKEND, "QUEUES": ["default", "other"]},
    "any": {"BACKEND": BACKEND, "QUEUES": []},
    "immediate": {"BACKEND": BACKEND, "OPTIONS": {"immediate": True}},
    "dummy": {"BACKEND": f"{FRAMEWORK}.backends.dummy.DummyBackend"},
    "retrying": {"BACKEND": BACKEND, "OPTIONS": {"max_attempts": 3, "backoff": 0}},
}

globals().update(json.loads(os.environ.get("BACKGROUND_TASK_TEST_SETTINGS", "{}")))
