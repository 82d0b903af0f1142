"""nbdev_test that compares, too: `python tools/run_notebook.py nbs/NAME.ipynb`.

nbdev_test executes a notebook and drops what its cells show. Here it must be that a cell shows something exactly where the
notebook has an output stored: this finds a notebook that was saved without being run, and a cell whose output is missing.
What is shown is not compared, since times and machines differ. Warnings (stderr) do not count.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import nbdev.test
from execnb.shell import CaptureShell

DIFFERENT: list[str] = []


def shows(outputs: Iterable[Any]) -> bool:
    """Whether there is an output other than warnings."""
    return any(o.get("name") != "stderr" for o in outputs)


class ComparingShell(CaptureShell):
    """nbdev_test's shell. It notes each cell that shows something where nothing is stored, or nothing where something is."""

    def cell(self, cell: Any, **options: Any) -> None:
        """Run a cell and compare. The shell drops what is printed by a cell that ends in `;`."""
        if cell.cell_type != "code":
            return
        stored, cell.outputs = shows(cell.outputs), []
        super().cell(cell, **options)
        shown = shows(cell.outputs)
        if shown != stored and not (stored and cell.source.rstrip().endswith(";")):
            what = "shows something, but no output is stored" if shown else "shows nothing, but an output is stored"
            DIFFERENT.append(f"cell {cell.idx_} {what}: {cell.source.strip().splitlines()[-1].strip()[:60]}")


def main(path: str) -> None:
    """nbdev_test of a notebook, and the comparison."""
    nbdev.test.CaptureShell = ComparingShell
    nbdev.test.nbdev_test(path, n_workers=0, do_print=True)
    if DIFFERENT:
        sys.exit("\n".join([*DIFFERENT, "-> run the notebook from top to bottom and save it"]))


if __name__ == "__main__":
    main(sys.argv[1])
