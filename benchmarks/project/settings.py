"""Django's own defaults, and what the queue under test asks for."""

from __future__ import annotations

from typing import Any

from .subject import CONFIG, PEER, PLACE

SECRET_KEY = "benchmark"
USE_TZ = True
TIME_ZONE = "UTC"
ROOT_URLCONF = ""
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


def database() -> dict[str, Any]:
    """Return the connection: SQLite as its users are advised, the others with no options."""
    options = PEER.options(PLACE, CONFIG)
    if PLACE.kind == "redis":
        return {}
    if PLACE.kind == "sqlite":
        options |= {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL",
        }
        address = {"ENGINE": "django.db.backends.sqlite3", "NAME": PLACE.name}
    else:
        address = {
            "ENGINE": f"django.db.backends.{engine()}",
            "NAME": PLACE.name,
            "HOST": "127.0.0.1",
            "PORT": PLACE.port,
            "USER": PLACE.user,
        }
    return {"default": {**address, "OPTIONS": options, **PEER.connection(CONFIG)}}


def engine() -> str:
    """Return Django's name of the database, with a pure Python driver for MariaDB."""
    if PLACE.kind != "mariadb":
        return PLACE.kind
    import pymysql

    pymysql.version_info = (2, 2, 8, "final", 0)
    pymysql.install_as_MySQLdb()
    return "mysql"


DATABASES = database()
_differing = PEER.settings(PLACE, CONFIG)
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    *_differing.pop("INSTALLED_APPS", []),
    "benchmarks.project",
]
globals().update(_differing)
