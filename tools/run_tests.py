"""All checks, and every notebook run by nbdev_test: `python tools/run_tests.py [notebook ...]`.

Each notebook runs in a process of its own, two at a time, by `tools/run_notebook.py`: nbdev_test, which also compares the cells
that show something with those that have an output stored. nbdev_test exits 0 when it matched no notebook or skipped one, so a
notebook has passed only if nbdev_test says that it was started and completed.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import check
import run_notebook

from transfer_nb.engines import keep_memory

WORKERS, LIMIT = 2, 600  # notebooks at a time; seconds for one
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# Imported once, by a server that forks for each notebook: five seconds less for each of them.
IMPORTED = "run_notebook torch torchvision pandas matplotlib.pyplot sklearn.cluster sklearn.linear_model openTSNE".split()
SERVER = multiprocessing.get_context("forkserver")


def execute(path: Path, log: Path) -> None:
    """In a process of its own: run a notebook, with all that it says in `log`."""
    said = os.open(log, os.O_WRONLY)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(check.ROOT)
    multiprocessing.set_start_method(None, force=True)  # a notebook's own processes start as they do elsewhere
    run_notebook.main(str(path))


def was_run(name: str, text: str) -> bool:
    """Whether nbdev_test started this very notebook, completed it and was content."""
    lines = [line.strip() for line in text.splitlines()]
    said = [any(line.startswith(w) and line.endswith(f"/{name}") for line in lines) for w in ("Starting", "- Completed")]
    return "Success." in lines and all(said)


def run(path: Path) -> tuple[bool, str]:
    """Run one notebook; whether it passed, and what it said."""
    with tempfile.NamedTemporaryFile("r") as log:
        process = SERVER.Process(target=execute, args=(path, Path(log.name)))
        process.start()
        process.join(LIMIT)
        if late := process.is_alive():
            process.kill()
        text = log.read() + f"stopped after {LIMIT} s" * late
    passed = process.exitcode == 0 and was_run(path.name, text)
    silent = process.exitcode == 0 and not passed
    return passed, text + "nbdev_test ran no such notebook (a skip flag, a .notest file, its name?)" * silent


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
    os.environ |= ONE_THREAD
    SERVER.set_forkserver_preload(IMPORTED)
    with ThreadPoolExecutor(WORKERS) as pool:
        checks = pool.submit((lambda: (0, 0)) if names else check.run_checks)
        notebooks = run_notebooks(pool, [Path(n).absolute() for n in names] or check.notebook_paths())
    check.finish(*map(sum, zip(checks.result(), notebooks)))


if __name__ == "__main__":
    main(sys.argv[1:])
