"""axe-core: what keeps people with a screen reader, a keyboard or weak eyes from using a page."""

from functools import cache
from pathlib import Path

import django
import pytest

SERIOUS = ("serious", "critical")
#: What all pages of Django's own admin fail at, whoever adds to them.
FAILED_BY_DJANGO = ["meta-viewport", "color-contrast"] if django.VERSION < (5, 0) else []
#: Two inputs for one date and time, of which the label names neither; Django 6 has mended that.
UNNAMED_BY_DJANGO = [".vDateField", ".vTimeField"] if django.VERSION < (6, 0) else []


@cache
def _script():
    package = pytest.importorskip("axe_core_python", reason="axe-core-python is not installed here")
    return Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")


def check_accessibility(page, *, within="html", without=(), only=None):
    """Fail when axe-core finds something serious on the page as it is now.

    Args:
        page: The page.
        within: Selector of the part that is checked.
        without: Selectors of parts that are not.
        only: Names of the only rules that are checked.
    """
    # Django 4.2 names the button for the colours only then.
    page.wait_for_load_state("load")
    page.evaluate(f"() => {{ {_script()} }}")
    options = {
        "preload": False,  # it would fetch the page's style sheets again
        "rules": {rule: {"enabled": False} for rule in FAILED_BY_DJANGO},
    }
    if only is not None:
        options["runOnly"] = {"type": "rule", "values": list(only)}
    found = page.evaluate(
        "([context, options]) => axe.run(context, options)",
        [
            {"include": [within], "exclude": [[each] for each in (*without, *UNNAMED_BY_DJANGO)]},
            options,
        ],
    )
    findings = [
        f"{finding['impact']} {finding['id']}: {finding['help']}\n" + _places(finding)
        for finding in found["violations"]
        if finding["impact"] in SERIOUS
    ]
    assert not findings, f"{page.url} is not accessible:\n" + "\n".join(findings)


def _places(finding):
    return "\n".join(
        f"    {node['target']}: {node['failureSummary']}\n    {node['html']}"
        for node in finding["nodes"]
    )
