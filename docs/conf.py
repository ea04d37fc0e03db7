"""How Sphinx builds this manual: ``sphinx-build -W -b html docs OUTPUT``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from background_task import __version__

project = "django-background-tasks"
release = version = __version__
project_copyright = "the authors of django-background-tasks"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_heading_anchors = 3
nitpicky = True

html_theme = "furo"
html_title = f"{project} {release}"
# Only Python is worth colouring; logs and plans are shown as they are.
highlight_language = "text"
