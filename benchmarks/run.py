"""Measure this library beside its peers, and beside bare SQL.

    python3 benchmarks/run.py                                  everything, about 25 minutes
    python3 benchmarks/run.py --quick                          everything once, in short
    python3 benchmarks/run.py --only drain --peers ours,huey,floor --quick
    python3 benchmarks/run.py --report                         the tables of what was measured

Makes its own environments below `.benchmarks/`, installs the peers there, starts its own servers on
127.0.0.1, and ends them. A complete run writes docs/benchmarks.md and its plots; any other writes
the same below `.benchmarks/report/`, unless `--write` is given.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    if os.name != "posix":
        print("The benchmarks run on Linux and macOS only.", file=sys.stderr)
        return 2
    sys.path[0] = str(ROOT)  # instead of this folder
    from benchmarks.command import parse_arguments, run
    from benchmarks.environments import HARNESS, SERVER, environment
    from tests.servers.base import find_program

    options = parse_arguments(__doc__)
    if os.environ.get("BENCHMARK_HARNESS") != "1":
        needed = HARNESS if find_program("pg_config") else (*HARNESS, SERVER)
        python = str(environment("harness", needed, python=options.python))
        os.environ["BENCHMARK_HARNESS"] = "1"
        os.execv(python, [python, __file__, *sys.argv[1:]])
    return run(options)


if __name__ == "__main__":
    sys.exit(main())
