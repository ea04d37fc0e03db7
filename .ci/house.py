"""Habits that no linter knows: short files and functions, nothing left open, no sleeping tests."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
LEFT_OPEN = re.compile(r"\b(T[O]DO|F[I]XME|X[X]X|H[A]CK)\b")
SLEEPING = re.compile(r"\btime\.sleep\(|^from time import .*\bsleep\b")
HIDDEN_TESTS = re.compile(r"\bmark\.xfail\b|\bassert True\b")


def main() -> int:
    complaints = [complaint for path in sources() for complaint in complaints_about(path)]
    print("\n".join(complaints) or "No complaints.")
    return 1 if complaints else 0


def sources() -> list[Path]:
    """Python files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for line in listed.splitlines() if (path := ROOT / line).is_file()]


def complaints_about(path: Path) -> Iterator[str]:
    name = path.relative_to(ROOT)
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    if len(lines) > MAX_FILE_LINES:
        yield f"{name}: {len(lines)} lines, at most {MAX_FILE_LINES}"
    if name.parts[0] != "tests" and "migrations" not in name.parts:
        yield from long_functions(name, ast.parse(text))
    for number, line in enumerate(lines, 1):
        if LEFT_OPEN.search(line):
            yield f"{name}:{number}: something left open"
        if name.parts[0] == "tests" and SLEEPING.search(line):
            yield f"{name}:{number}: a test sleeps; wait for an event with a deadline"
        if name.parts[0] == "tests" and HIDDEN_TESTS.search(line):
            yield f"{name}:{number}: a test that cannot fail"


def long_functions(name: Path, tree: ast.Module) -> Iterator[str]:
    """The docstring does not count: it may be as long as its reader needs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            length = (node.end_lineno or 0) - body[0].lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines of code"


if __name__ == "__main__":
    sys.exit(main())
