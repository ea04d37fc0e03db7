"""Build the source archive and from it the wheel; look inside; use the wheel in a bare venv."""

import os
import subprocess
import sys
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = {
    "background_task/py.typed",
    "background_task/migrations/0001_initial.py",
    "background_task/migrations/0002_auto_20170927_1109.py",
    "background_task/management/commands/process_tasks.py",
    "background_task/static/background_task/dashboard.css",
    "background_task/static/background_task/dashboard.js",
    "background_task/templates/background_task/dashboard/page.html",
    "pytest_background_task.py",
}
OURS = ("background_task/", "django_background_tasks-", "pytest_background_task.py")
PROJECT = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django.contrib.contenttypes", "background_task"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}}
USE_TZ = True
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "build", "--outdir", folder, str(ROOT))
        (wheel,) = Path(folder).glob("*.whl")
        complaints = look_inside(wheel)
        if not complaints:
            use(wheel, Path(folder))
    print("\n".join(complaints) or f"{wheel.name} is fine.")
    return 1 if complaints else 0


def look_inside(wheel: Path) -> list[str]:
    """Return what is wrong with the wheel's content."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata_name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = Parser().parsestr(archive.read(metadata_name).decode())
    complaints = [f"missing in the wheel: {name}" for name in sorted(NEEDED - names)]
    complaints += [f"not for users: {name}" for name in sorted(names) if not name.startswith(OURS)]
    tracked = run("git", "-C", str(ROOT), "ls-files", "background_task").splitlines()
    complaints += [f"not in the wheel: {name}" for name in sorted(set(tracked) - names)]
    expected = {
        "Name": "django-background-tasks",
        "License-Expression": "BSD-3-Clause",
        "Requires-Python": ">=3.10",
    }
    complaints += [
        f"{field} is {metadata[field]!r}, not {value!r}"
        for field, value in expected.items()
        if metadata[field] != value
    ]
    return complaints


def use(wheel: Path, folder: Path) -> None:
    """Migrate and start a worker where nothing of the checkout can be imported."""
    run(sys.executable, "-m", "venv", str(folder / "venv"))
    python = str(folder / "venv" / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", str(wheel))
    site = folder / "site"
    site.mkdir()
    (site / "site_settings.py").write_text(PROJECT)
    for arguments in (["migrate"], ["process_tasks", "--duration", "1", "--sleep", "0.1"]):
        run(python, "-m", "django", *arguments, "--settings=site_settings", cwd=site)


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command from outside the checkout, and show its output only when it fails."""
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    if cwd is not None:
        environment["PYTHONPATH"] = str(cwd)
    result = subprocess.run(
        command,
        cwd=cwd or tempfile.gettempdir(),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        print(result.stdout + result.stderr)
        sys.exit(f"failed ({result.returncode}): {' '.join(command)}")
    return result.stdout


if __name__ == "__main__":
    sys.exit(main())
