"""A shop that is busy: it exists to be looked at, for the pictures of the manual."""

import os
from pathlib import Path

import django

DATA_DIR = Path(os.environ["PICTURES_DATA_DIR"])

SECRET_KEY = "for-pictures-only"
DEBUG = True  # serves the admin's style sheets
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "urls"
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "background_task",
    "shop",
    "billing",
    "media",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
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

sqlite_options = {"timeout": 30}
if django.VERSION >= (5, 1):
    sqlite_options["transaction_mode"] = "IMMEDIATE"
    sqlite_options["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "shop.sqlite3",
        "OPTIONS": sqlite_options,
    }
}

BACKGROUND_TASK_RETAIN = "7d"
BACKGROUND_TASK_LOG_LEVEL = "INFO"
BACKGROUND_TASK_MASK = ["token"]
BACKGROUND_TASK_PERIODIC = {
    "customers": {"task": "shop.tasks.let_customers_in", "schedule": 5},
    "exchange rates": {"task": "billing.tasks.fetch_exchange_rates", "schedule": 30},
    "sitemap": {"task": "media.tasks.write_sitemap", "schedule": 3600},
    "invoices of the day": {"task": "billing.tasks.close_the_day", "schedule": 86400},
}
