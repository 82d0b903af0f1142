"""Checks of the repository, all but the running of the notebooks: `python tools/check.py`.

A check is a function that returns a line for each thing that is wrong; its docstring is its name. Every check is run,
whatever the others found; the exit status is 1 if any found something.
"""
from __future__ import annotations

import ast
import csv
import json
import math
import re
import shutil
import subprocess
import symtable
import sys
import tempfile
from collections.abc import Callable, Iterator
from configparser import ConfigParser, SectionProxy
from datetime import datetime
from functools import cache
from pathlib import Path

import nbformat
from packaging.requirements import Requirement
from packaging.version import Version

import links
import readme

ROOT = Path(__file__).resolve().parent.parent
NBS, LIB, BIN = ROOT / "nbs", ROOT / "transfer_nb", Path(sys.executable).parent
MEGABYTE = 1e6
NOTEBOOK_LIMIT, SAMPLES_LIMIT = 2 * MEGABYTE, 6 * MEGABYTE
MACHINE = re.compile(r"(?<![\w.])/(?:home|root|tmp|work|opt|mnt|srv|scratch|Users|private)/[\w.-]+")
CURVE_COLUMNS = ["experiment", "row", "column", "preset", "seed", "config", "step", "metric", "value"]
COLUMNS = "experiment row column preset seed metric pick score steps seconds device versions config when".split()
PICKS = {"last", "selected", "oracle"}
PAPERS = {"dann", "fan", "metric_transfer", "supreme", "akt"}
HEAVY = ["pandas", "matplotlib", "sklearn", "openTSNE", "fastcore"]
PACKAGE_OF = {"sklearn": "scikit-learn", "PIL": "pillow"}
OPTIONAL = {"ray"}
# Calls at the end of a cell that show nothing; functions of the project that return nothing are found by themselves.
QUIET = re.compile(r"(assert|test|set)_?\w*|print|raises|append|extend|update|add|remove|clear|insert|sort|shuffle|seed|mkdir"
                   r"|write|close|unlink|rmdir|rmtree|chdir|savefig|tight_layout|simplefilter|filterwarnings|backward|step|zero_grad|use")


# Reading

def notebook_paths() -> list[Path]:
    """All notebooks, those included that nbdev would skip."""
    return sorted(p for p in NBS.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)


@cache
def cells_of(path: Path) -> list[dict]:
    """The cells of a notebook, each with its source as one text."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [c | {"source": "".join(c["source"])} for c in cells]


def code_cells() -> Iterator[tuple[str, dict]]:
    """Every code cell of every notebook, with the name of the place."""
    for path in notebook_paths():
        for i, cell in enumerate(cells_of(path)):
            if cell["cell_type"] == "code":
                yield f"{path.name} cell {i}", cell


def modules() -> list[Path]:
    """The modules that notebooks export."""
    return [p for p in sorted(LIB.rglob("*.py")) if p.name not in ("__init__.py", "_modidx.py")]


def texts(output: dict) -> str:
    """All that an output says, pictures left out."""
    data = [v for k, v in output.get("data", {}).items() if k.startswith("text") or k.endswith("svg+xml")]
    return "\n".join("".join(v) for v in [output.get("text", ""), *data])


@cache
def settings() -> SectionProxy:
    """The section of settings.ini."""
    ini = ConfigParser(interpolation=None)
    ini.read(ROOT / "settings.ini", encoding="utf-8")
    return ini["DEFAULT"]


def tool(*command: str | Path, cwd: Path = ROOT) -> tuple[int, str]:
    """Run a tool; its exit status and all that it printed."""
    run = subprocess.run([*command], cwd=cwd, capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


def report(*command: str | Path) -> list[str]:
    """Run a tool and return what it printed if it failed."""
    status, text = tool(*command)
    return text.strip().splitlines() or [f"{command[0]} ended with status {status}"] if status else []


@cache
def made_anew() -> Path:
    """A copy of the project in which the modules are exported anew and the notebooks cleaned."""
    copy = Path(COPY.name)
    shutil.copy(ROOT / "settings.ini", copy)
    shutil.copytree(NBS, copy / "nbs", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    for command in ("nbdev_export", "nbdev_clean"):
        status, text = tool(BIN / command, cwd=copy)
        if status or "Failed" in text:
            raise RuntimeError(f"{command}: {text.strip()[-1500:]}")
    return copy


COPY = tempfile.TemporaryDirectory(prefix="transfer_nb_check_")


# The checks

def valid() -> list[str]:
    """notebooks are valid and named so that nbdev takes them"""
    wrong = [f"{p.relative_to(ROOT)}: nbdev skips this name or folder" for p in notebook_paths()
             if p.parent != NBS or p.name[0] in "_."]
    for path in notebook_paths():
        try:
            nbformat.validate(nbformat.read(path, as_version=4))
        except Exception as error:
            wrong.append(f"{path.name}: {str(error).splitlines()[0]}")
    return wrong or ([] if notebook_paths() else ["there is no notebook in nbs/"])


def in_sync() -> list[str]:
    """modules are what the notebooks export"""
    made, here = made_anew() / LIB.name, LIB
    return [f"{LIB.name}/{p.name} differs from its notebook" for p in sorted(made.glob("*.py"))
            if not (here / p.name).exists() or (here / p.name).read_bytes() != p.read_bytes()]


def no_orphans() -> list[str]:
    """every module comes from a notebook"""
    made = made_anew() / LIB.name
    found = [p.relative_to(LIB) for p in LIB.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    return [f"{LIB.name}/{p} comes from no notebook: delete it" for p in found if not (made / p).exists()]


def clean() -> list[str]:
    """notebooks are clean"""
    made = made_anew()
    return [f"{p.name} is not clean" for p in notebook_paths() if p.read_bytes() != (made / p.relative_to(ROOT)).read_bytes()]


def is_evaluated(source: str) -> bool:
    """Whether a cell is run and its output is meant to be seen."""
    flags = "|".join(["hide", "default_exp", *settings()["tst_flags"].split()])
    return not re.search(rf"^#\|\s*(eval:\s*false|{flags})\b", source, re.MULTILINE) and not source.lstrip().startswith("%%")


def runs_now(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the cell does: not the inside of definitions, nor what stands under a condition."""
    yield node
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda | ast.If | ast.ExceptHandler):
        for child in ast.iter_child_nodes(node):
            yield from runs_now(child)


def called(node: ast.AST) -> str:
    """The last part of the name of what a call calls; an empty text for anything else."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "id", "") or getattr(node.func, "attr", "")


def parsed(source: str) -> ast.Module:
    """The syntax tree of a cell, without its magics."""
    return ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE))


def gives(function: ast.FunctionDef) -> bool:
    """Whether a call of a function gives or prints something that a cell would show."""
    names = {called(n) for n in ast.walk(function)}
    value = any(isinstance(n, ast.Return | ast.Yield) and n.value is not None for n in ast.walk(function))
    return "print" in names or value and not isinstance(function.returns, ast.Constant)


@cache
def functions(path: Path) -> dict[str, bool]:
    """The functions that a notebook defines, and whether a call of each gives something that a cell would show."""
    sources = [c["source"] for c in cells_of(path) if c["cell_type"] == "code" and not c["source"].startswith("%%")]
    return {n.name: gives(n) for s in sources for n in parsed(s).body if isinstance(n, ast.FunctionDef)}


def shows(source: str, silent: set[str]) -> bool:
    """Whether a cell must have an output: it prints, or ends in an expression that has a value."""
    body = parsed(source).body
    prints = any(called(n) in ("print", "display") and not any(k.arg == "file" for k in getattr(n, "keywords", []))
                 for statement in body for n in runs_now(statement))
    if prints or not body or not isinstance(body[-1], ast.Expr) or source.rstrip().endswith(";"):
        return prints
    last, name = body[-1].value, called(body[-1].value)
    nothing = isinstance(last, ast.Constant) and last.value is None
    return not (nothing or name and (QUIET.fullmatch(name) or name in silent))


def unexecuted(path: Path) -> list[str]:
    """A line for each cell of a notebook that must have an output and has none."""
    known = {name: g for p in [*notebook_paths(), path] for name, g in functions(p).items()}  # its own definitions win
    silent = {name for name, g in known.items() if not g}
    return [f"{path.name} cell {i} shows something, but no output is stored: {c['source'].strip().splitlines()[-1].strip()[:60]}"
            for i, c in enumerate(cells_of(path)) if c["cell_type"] == "code" and not c["outputs"]
            and is_evaluated(c["source"]) and shows(c["source"], silent)]


def executed() -> list[str]:
    """notebooks are executed"""
    return [line for path in notebook_paths() for line in unexecuted(path)]


def bound(source: str) -> set[str]:
    """The names that a cell gives a meaning at its top level: assigned, looped over, defined (not imported)."""
    plain = re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE)
    return {s.get_name() for s in symtable.symtable(plain, "cell", "exec").get_symbols() if s.is_assigned()}


def no_shadows() -> list[str]:
    """no cell gives another meaning to a name that its notebook exports"""
    wrong = []
    for path in notebook_paths():
        cells = [c["source"] for c in cells_of(path) if c["cell_type"] == "code" and not c["source"].startswith("%%")]
        is_export = lambda s: re.search(r"^#\|\s*exports?\b", s, re.MULTILINE)
        exported = {name for s in cells if is_export(s) for name in bound(s)}
        wrong += [f"{path.name}: {name} = ..." for s in cells if not is_export(s) for name in sorted(bound(s) & exported)]
    return wrong


def no_errors() -> list[str]:
    """no error is stored as output"""
    return [f"{place}: {o.get('ename')}: {o.get('evalue', '')[:80]}"
            for place, c in code_cells() for o in c["outputs"] if o["output_type"] == "error"]


def written() -> Iterator[tuple[str, str]]:
    """All texts that a reader may meet, each with the name of the place."""
    for path in notebook_paths():
        for i, cell in enumerate(cells_of(path)):
            yield f"{path.name} cell {i}, source", cell["source"]
            yield f"{path.name} cell {i}, output", "\n".join(map(texts, cell.get("outputs", [])))
    for path in [*modules(), *pages(), *sorted((ROOT / "results").glob("*.csv"))]:
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def no_machine_paths() -> list[str]:
    """no path of a machine in sources, outputs, pages or records"""
    places = [re.escape(str(p)) for p in (ROOT, Path.home()) if len(p.parts) > 1]
    pattern = re.compile("|".join([MACHINE.pattern, *places]))
    return [f"{place}: {hit[0]}" for place, text in written() if (hit := pattern.search(text))]


def small() -> list[str]:
    """notebooks and embedded samples are small"""
    large = [f"{p.name}: {p.stat().st_size / MEGABYTE:.1f} MB" for p in notebook_paths() if p.stat().st_size > NOTEBOOK_LIMIT]
    samples = sum(p.stat().st_size for p in sample_files())
    return large + [f"tests_data: {samples / MEGABYTE:.1f} MB"] * (samples > SAMPLES_LIMIT)


def sample_files() -> list[Path]:
    """The files of tests_data."""
    return sorted(p for p in (ROOT / "tests_data").rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def samples_described() -> list[str]:
    """every embedded sample has its origin and licence told in tests_data/README.md"""
    page = ROOT / "tests_data/README.md"
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    return [f"{p.name} is not mentioned" for p in sample_files() if p != page and p.name not in text]


def pages() -> list[Path]:
    """The Markdown pages: at the top and one folder below."""
    return [p for p in sorted([*ROOT.glob("*.md"), *ROOT.glob("[!._]*/*.md")]) if p.parent.name not in ("build", "dist")]


def links_resolve() -> list[str]:
    """links and pictures are there"""
    return [line for page in [*notebook_paths(), *pages()] for line in links.broken(page, ROOT)]


def readme_in_sync() -> list[str]:
    """README.md is nbs/index.ipynb rendered"""
    text, pictures = readme.render(NBS / "index.ipynb")
    wanted = {"README.md": text.encode()} | pictures
    stale = {f"figures/{p.name}" for p in (ROOT / "figures").glob("readme_*.png")} - wanted.keys()
    return [f"{name} differs" for name, content in wanted.items()
            if not (ROOT / name).exists() or (ROOT / name).read_bytes() != content] + [f"{s} is of no use" for s in sorted(stale)]


def settings_sane() -> list[str]:
    """settings.ini is sound"""
    cfg, wrong = settings(), []
    Version(cfg["version"])
    for requirement in (cfg["requirements"] + " " + cfg["dev_requirements"]).split():
        Requirement(requirement)
    if not (cfg["lib_name"] == cfg["lib_path"] == LIB.name):
        wrong.append("lib_name and lib_path must be transfer_nb")
    if cfg.get("update_pyproject") != "False" or "," in cfg["tst_flags"]:
        wrong.append("update_pyproject must be False, and tst_flags separated by spaces")
    command = cfg["console_scripts"].split("=")[-1].split(":")
    source = LIB.parent / (command[0].replace(".", "/") + ".py")
    if not source.exists() or f"def {command[1]}(" not in source.read_text(encoding="utf-8"):
        wrong.append(f"console_scripts names {':'.join(command)}, which is not there")
    return wrong + [f"CITATION.cff has not version {cfg['version']}"] * (
        f"\nversion: {cfg['version']}\n" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """The modules that a module imports, anywhere in it, by their full names."""
    tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {a.name for n in tree if isinstance(n, ast.Import) for a in n.names}
    parts = [(("." * n.level + (n.module or "")).replace(".", LIB.name + ".", n.level and 1), a.name)
             for n in tree if isinstance(n, ast.ImportFrom) for a in n.names]
    return plain | {f"{m.rstrip('.')}.{a}" if m.rstrip(".") == LIB.name else m for m, a in parts}


def imports_allowed() -> list[str]:
    """modules import only what settings.ini requires, and no paper another paper"""
    declared = {Requirement(r).name.lower() for r in settings()["requirements"].split()} | OPTIONAL
    wrong = []
    for path in modules():
        for name in sorted(imports(path)):
            top, _, rest = name.partition(".")
            if top == LIB.name and {path.stem, rest.split(".")[0]} <= PAPERS and path.stem != rest.split(".")[0]:
                wrong.append(f"{path.name} imports {name}, another paper")
            elif top not in sys.stdlib_module_names | {LIB.name} and PACKAGE_OF.get(top, top).lower() not in declared:
                wrong.append(f"{path.name} imports {top}, which settings.ini does not require")
    return wrong


def imports_light() -> list[str]:
    """importing the modules loads no library for tables, figures or notebooks"""
    names = ", ".join(f"{LIB.name}.{p.stem}" for p in modules()) or LIB.name
    status, text = tool(sys.executable, "-c", f"import sys, {names}\nprint(*(m for m in {HEAVY} if m in sys.modules))")
    if status:
        return text.strip().splitlines()[-3:]
    return [f"{m} is loaded: import it inside the function that uses it" for m in text.split()]


def record_problem(row: dict[str, str]) -> str:
    """What is wrong with one line of the records, or an empty text."""
    if missing := [c for c in (CURVE_COLUMNS if "step" in row else COLUMNS) if not row.get(c)]:
        return f"nothing in {', '.join(missing)}"
    if "step" in row:
        return ""
    try:
        whole = int(row["seed"]) >= 0 and int(row["steps"]) >= 0 and float(row["seconds"]) >= 0
        datetime.fromisoformat(row["when"])
        finite = math.isfinite(float(row["score"]))
    except ValueError as error:
        return str(error)
    return "" if whole and finite and row["pick"] in PICKS else "a number or the pick is out of range"


def records_sound() -> list[str]:
    """records in results/ are well-formed"""
    wrong = []
    for path in sorted((ROOT / "results").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            wrong += [f"{path.name} line {i}: {p}" for i, row in enumerate(csv.DictReader(file), 2) if (p := record_problem(row))]
    return wrong


def ruff() -> list[str]:
    """ruff finds nothing, in notebooks too"""
    return report(BIN / "ruff", "check", "--output-format", "concise", "nbs", LIB.name, "tools", "setup.py")


def types() -> list[str]:
    """mypy finds nothing in the package and the tools"""
    return report(BIN / "mypy")


SYNC = "run `make sync`"
CHECKS: dict[Callable[[], list[str]], str] = {
    valid: "save the notebook again from JupyterLab; its name begins with a number and it stands in nbs/",
    in_sync: f"edit notebooks, never modules, then {SYNC}",
    no_orphans: "a module that is not in a notebook is lost at the next export",
    clean: SYNC,
    executed: "run the notebook from top to bottom and save it; a last line that shows nothing may end in `;`",
    no_shadows: "after such a cell the exported function is gone for the reader: choose another name",
    no_errors: "show an expected error with try and print, and mend any other",
    no_machine_paths: "print names or relative paths",
    small: "fewer or smaller pictures, fewer samples",
    samples_described: "name the file, its origin and its licence there",
    links_resolve: "targets are relative to the page; anchors are headings in small letters, joined by hyphens",
    readme_in_sync: SYNC,
    settings_sane: "settings.ini is the one place for name, version, dependencies and commands",
    imports_allowed: "add the requirement, or move what two papers share into a family notebook",
    imports_light: "see law 8: training runs where no figures are drawn",
    records_sound: f"only the command line writes records; the columns are {', '.join(COLUMNS)}",
    ruff: "`.venv/bin/ruff check --fix nbs` mends most",
    types: "mend the type hints in the notebook",
}


def findings(check: Callable[[], list[str]]) -> list[str]:
    """What a check found; a check that breaks down has found something too."""
    try:
        return check()
    except Exception as error:
        return [f"the check itself failed with {type(error).__name__}: {error}"]


def run_checks() -> tuple[int, int]:
    """Run all checks, print a line for each and what it found; how many passed and how many failed."""
    failed = 0
    for check, advice in CHECKS.items():
        wrong = findings(check)
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok  '} {check.__doc__}", flush=True)
        if wrong:
            print("\n".join(f"       {line}" for line in [*wrong, f"-> {advice}"]), flush=True)
    return len(CHECKS) - failed, failed


def finish(passed: int, failed: int) -> None:
    """Print the count as the last line, and exit."""
    print(f"\n{passed} passed, {failed} failed", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    finish(*run_checks())
