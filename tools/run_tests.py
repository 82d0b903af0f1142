"""All checks, and every notebook run by nbdev_test: `python tools/run_tests.py [notebook ...]`.

Each notebook runs in a process of its own, two at a time, by `tools/run_notebook.py`: nbdev_test, which also compares the cells
that show something with those that have an output stored. nbdev_test exits 0 when it matched no notebook or skipped one, so a
notebook has passed only if nbdev_test says that it was started and completed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import check

from transfer_nb.runs import keep_memory

WORKERS, LIMIT = 2, 600  # notebooks at a time; seconds for one
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def was_run(name: str, text: str) -> bool:
    """Whether nbdev_test started this very notebook, completed it and was content."""
    lines = [line.strip() for line in text.splitlines()]
    said = [any(line.startswith(w) and line.endswith(f"/{name}") for line in lines) for w in ("Starting", "- Completed")]
    return "Success." in lines and all(said)


def run(path: Path) -> tuple[bool, str]:
    """Run one notebook; whether it passed, and what it said."""
    command: list[str | Path] = [
        sys.executable,
        check.ROOT / "tools/run_notebook.py",
        "--n_workers",
        "0",
        "--do_print",
        "--path",
        path,
    ]
    env, pipe = os.environ | ONE_THREAD, subprocess.PIPE
    try:
        done = subprocess.run(command, cwd=check.ROOT, env=env, timeout=LIMIT, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    except subprocess.TimeoutExpired:
        return False, f"stopped after {LIMIT} s"
    passed = done.returncode == 0 and was_run(path.name, done.stdout)
    silent = done.returncode == 0 and not passed
    return passed, done.stdout + "nbdev_test ran no such notebook (a skip flag, a .notest file, its name?)" * silent


def run_and_tell(path: Path) -> bool:
    """Run one notebook, print its line, and the end of what it said if it failed."""
    start = time.time()
    passed, text = run(path)
    tail = "" if passed else "".join(f"\n       {line}" for line in text.strip().splitlines()[-40:])
    print(f"{'ok  ' if passed else 'FAIL'} {path.name} {time.time() - start:.0f} s{tail}", flush=True)
    return passed


def run_notebooks(pool: ThreadPoolExecutor, paths: list[Path]) -> tuple[int, int]:
    """Run the notebooks; how many passed and how many failed, which together are all that were asked for."""
    passed = sum(pool.map(run_and_tell, paths))
    return passed, len(paths) - passed


def main(names: list[str]) -> None:
    """Run what is named, or all notebooks, and beside them all checks."""
    keep_memory()
    with ThreadPoolExecutor(WORKERS) as pool:
        checks = pool.submit((lambda: (0, 0)) if names else check.run_checks)
        notebooks = run_notebooks(pool, [Path(n).absolute() for n in names] or check.notebook_paths())
    check.finish(*map(sum, zip(checks.result(), notebooks)))


if __name__ == "__main__":
    main(sys.argv[1:])
