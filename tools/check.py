"""Checks of the repository, all but the running of the notebooks: `python tools/check.py`.

A check is a function that returns a line for each thing that is wrong; its docstring is its name. Every check is run,
whatever the others found; the exit status is 1 if any found something.
"""

from __future__ import annotations

import ast
import hashlib
import json
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
WARNED = re.compile(r"Warning\b|findfont|deprecated")  # in what a cell writes to stderr
RECORD = "key method config task seed precision scores evaluations seconds hardware versions when format".split()
NAMED_BY = "method version config task size labels variant data seed precision n_evals needs".split()  # what a key is made of
PAPERS = {"dann", "fan", "metric_transfer", "supreme", "akt"}
# Each module of the engine room imports only those before it. Then come the papers and their families, tables, the command line.
ENGINE_ROOM = "images domains augment synthetic datasets networks configurations models training".split()
ENGINE_ROOM += "scores figures runs engines experiments".split()
HARNESS = {"runs", "engines", "experiments"}
KINDS = {"clustering"}  # the name of a kind of task is the name of a family, too
HEAVY = ["pandas", "matplotlib", "sklearn", "openTSNE", "fastcore"]
SCIKIT_LEARNS = "estimator"  # the one module that is for scikit-learn, and may import it
PACKAGE_OF = {"sklearn": "scikit-learn", "PIL": "pillow"}


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
    wrong = [
        f"{p.relative_to(ROOT)}: nbdev skips this name or folder"
        for p in notebook_paths()
        if p.parent != NBS or p.name[0] in "_."
    ]
    for path in notebook_paths():
        try:
            nbformat.validate(nbformat.read(path, as_version=4))
        except Exception as error:
            wrong.append(f"{path.name}: {str(error).splitlines()[0]}")
    return wrong or ([] if notebook_paths() else ["there is no notebook in nbs/"])


def in_sync() -> list[str]:
    """modules are what the notebooks export"""
    made, here = made_anew() / LIB.name, LIB
    return [
        f"{LIB.name}/{p.name} differs from its notebook"
        for p in sorted(made.glob("*.py"))
        if p.name != "__init__.py" and (not (here / p.name).exists() or (here / p.name).read_bytes() != p.read_bytes())
    ]


def no_orphans() -> list[str]:
    """every module comes from a notebook"""
    made = made_anew() / LIB.name
    found = [p.relative_to(LIB) for p in LIB.rglob("*") if p.is_file() and "__pycache__" not in p.parts and p.name != "py.typed"]
    return [f"{LIB.name}/{p} comes from no notebook: delete it" for p in found if not (made / p).exists()]


def clean() -> list[str]:
    """notebooks are clean"""
    made = made_anew()
    return [f"{p.name} is not clean" for p in notebook_paths() if p.read_bytes() != (made / p.relative_to(ROOT)).read_bytes()]


def executed() -> list[str]:
    """notebooks are executed"""
    return [f"{p.name} has no outputs" for p in notebook_paths() if not any(c.get("outputs") for c in cells_of(p))]


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
    """no error and no warning is stored as output"""
    outputs = [(place, o) for place, c in code_cells() for o in c["outputs"]]
    errors = [f"{place}: {o.get('ename')}: {o.get('evalue', '')[:80]}" for place, o in outputs if o["output_type"] == "error"]
    hits = [(place, WARNED.search(texts(o))) for place, o in outputs if o.get("name") == "stderr"]
    warned = [f"{place}: {hit.string[hit.start() :][:80]}" for place, hit in hits if hit]
    return errors + warned


def written() -> Iterator[tuple[str, str]]:
    """All texts that a reader may meet, each with the name of the place."""
    for path in notebook_paths():
        for i, cell in enumerate(cells_of(path)):
            yield f"{path.name} cell {i}, source", cell["source"]
            yield f"{path.name} cell {i}, output", "\n".join(map(texts, cell.get("outputs", [])))
    for path in [*modules(), *pages(), *records(), *sorted((ROOT / "results").rglob("*.csv"))]:
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
    return [
        f"{name} differs"
        for name, content in wanted.items()
        if not (ROOT / name).exists() or (ROOT / name).read_bytes() != content
    ] + [f"{s} is of no use" for s in sorted(stale)]


def one_title() -> list[str]:
    """each notebook has one title, no heading twice, and each displayed equation one number at most"""
    wrong = []
    for path in notebook_paths():
        text = "\n".join(c["source"] for c in cells_of(path) if c["cell_type"] == "markdown")
        headings = re.findall(r"^#+ .*", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
        titles = [h for h in headings if h.startswith("# ")]
        numbered = [e for e in re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL) if e.count(r"\tag") > 1 and "align" not in e]
        wrong += [f"{path.name}: {len(titles)} titles"] * (len(titles) != 1)
        wrong += [f"{path.name}: {h!r} twice" for h in set(headings) if headings.count(h) > 1]
        wrong += [f"{path.name}: two numbers in {' '.join(e.split())[:60]}" for e in numbered]
    return wrong


def teaches() -> list[str]:
    """each notebook says what it takes, gives and assumes, what to remember, and the answers of its exercises"""
    wrong = []
    for path in notebook_paths():
        if path.name == "index.ipynb":
            continue
        text = [c["source"] for c in cells_of(path) if c["cell_type"] == "markdown"]
        opening = " ".join(text[0].split())
        wrong += [f"{path.name} does not say {what!r}" for what in ("Takes: ", "After it you ") if what not in opening]
        wrong += [f"{path.name} does not say what it assumes"] * (not re.search("assumes|Needs: ", opening))
        wrong += [f"{path.name} has nothing to remember"] * (not any("## What to remember" in x for x in text))
        items = re.split(r"\n(?=\d+\. )", text[-1].partition("## Exercises")[2])[1:]
        wrong += [f"{path.name} has no exercise at its end"] * (not items)
        whole = re.compile(r"\d+\. \([^)]*(second|minute|hour|day).*\*Right: .*", re.DOTALL)
        wrong += [f"{path.name}: no time, or no right answer: {x[:60]}" for x in items if not whole.match(x)]
    return wrong


def pages_built() -> list[str]:
    """the HTML pages can be made, without a warning"""
    return report(sys.executable, ROOT / "tools/docs.py")


def settings_sane() -> list[str]:
    """settings.ini is sound"""
    cfg, wrong = settings(), []
    Version(cfg["version"])
    required("requirements", "dev_requirements", "ray_requirements")  # fails if one cannot be read
    if not (cfg["lib_name"] == cfg["lib_path"] == LIB.name):
        wrong.append("lib_name and lib_path must be transfer_nb")
    if cfg.get("update_pyproject") != "False" or "," in cfg["tst_flags"]:
        wrong.append("update_pyproject must be False, and tst_flags separated by spaces")
    command = cfg["console_scripts"].split("=")[-1].split(":")
    source = LIB.parent / (command[0].replace(".", "/") + ".py")
    if not source.exists() or f"def {command[1]}(" not in source.read_text(encoding="utf-8"):
        wrong.append(f"console_scripts names {':'.join(command)}, which is not there")
    return wrong + [f"CITATION.cff has not version {cfg['version']}"] * (
        f"\nversion: {cfg['version']}\n" not in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    )


def imports(path: Path) -> set[str]:
    """The modules that a module imports, anywhere in it, by their full names."""
    tree = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {a.name for n in tree if isinstance(n, ast.Import) for a in n.names}
    parts = [
        (("." * n.level + (n.module or "")).replace(".", LIB.name + ".", n.level and 1), a.name)
        for n in tree
        if isinstance(n, ast.ImportFrom)
        for a in n.names
    ]
    return plain | {f"{m.rstrip('.')}.{a}" if m.rstrip(".") == LIB.name else m for m, a in parts}


def required(*keys: str) -> set[str]:
    """The names of what settings.ini requires under these keys."""
    return {Requirement(r).name.lower() for key in keys for r in settings()[key].split()}


def rank(module: str) -> int:
    """The place of a module in the order of imports: one of a lower rank must not import one of a higher."""
    if module in ENGINE_ROOM:
        return ENGINE_ROOM.index(module)
    return len(ENGINE_ROOM) + (2 if module == "command_line" else module.endswith("_tables"))


def import_problem(module: str, name: str) -> str:
    """What is wrong with a module's import of `name`, or an empty text."""
    top, _, rest = name.partition(".")
    other = rest.split(".")[0]
    if top != LIB.name:
        known = top in sys.stdlib_module_names or PACKAGE_OF.get(top, top).lower() in required("requirements", "ray_requirements")
        return "" if known else "which settings.ini does not require"
    if module != other and {module, other} <= PAPERS:
        return "another paper"
    upwards = rank(other) > rank(module) and LIB.joinpath(f"{other}.py").exists()
    return "which stands above it" if upwards else ""


def imports_allowed() -> list[str]:
    """modules import only what settings.ini requires, what stands below them, and no paper another paper"""
    return [
        f"{path.name} imports {name}, {problem}"
        for path in modules()
        for name in sorted(imports(path))
        if (problem := import_problem(path.stem, name))
    ]


def harness_neutral() -> list[str]:
    """the harness names no paper and no baseline"""
    names = {p.stem for p in modules() if rank(p.stem) == len(ENGINE_ROOM)} | PAPERS
    pattern = re.compile(rf"\b({'|'.join(sorted(names - KINDS))})\b")
    return [
        f"{p.name} line {i} names {hit[0]}"
        for p in modules()
        if p.stem in HARNESS
        for i, line in enumerate(p.read_text(encoding="utf-8").splitlines(), 1)
        if (hit := pattern.search(line))
    ]


def imports_light() -> list[str]:
    """importing the modules loads no library for tables, figures or notebooks"""
    names = ", ".join(f"{LIB.name}.{p.stem}" for p in modules() if p.stem != SCIKIT_LEARNS) or LIB.name
    status, text = tool(sys.executable, "-c", f"import sys, {names}\nprint(*(m for m in {HEAVY} if m in sys.modules))")
    if status:
        return text.strip().splitlines()[-3:]
    return [f"{m} is loaded: import it inside the function that uses it" for m in text.split()]


def records() -> list[Path]:
    """The files of records, one for each method."""
    return sorted((ROOT / "results").glob("*.jsonl"))


def not_finite(text: str) -> None:
    """Refuse a number that JSON does not have."""
    raise ValueError(f"{text} is no finite number")


def record_problem(line: str, keys: set[str]) -> str:
    """What is wrong with one record, or an empty text. Its key is added to those that are taken."""
    try:
        record = json.loads(line, parse_constant=not_finite)
        if missing := set(RECORD) - record.keys():
            return f"has no {', '.join(sorted(missing))}"
        named = json.dumps({k: record[k] for k in NAMED_BY}, sort_keys=True)
        if hashlib.sha256(named.encode()).hexdigest()[:16] != record["key"]:
            return "has a key that is not the digest of what it says"
        datetime.fromisoformat(record["when"])
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        return f"is no record: {error}"
    taken = record["key"] in keys
    keys.add(record["key"])
    sound = (
        type(record["seed"]) is int and record["seed"] >= 0 and type(record["seconds"]) in (int, float) and record["seconds"] >= 0
    )
    return f"has the key {record['key']} of another record" if taken else "" if sound else "has a wrong seed or wrong seconds"


def records_sound() -> list[str]:
    """records in results/ are well-formed, and each has a key of its own"""
    keys: set[str] = set()
    return [
        f"{path.name} line {i} {problem}"
        for path in records()
        for i, line in enumerate(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"), 1)
        if (problem := record_problem(line, keys))
    ]


def formatted() -> list[str]:
    """ruff formats notebooks and tools"""
    return report(BIN / "ruff", "format", "--check", "--output-format", "concise", "nbs", "tools", "setup.py")


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
    executed: "run the notebook from top to bottom and save it",
    no_shadows: "after such a cell the exported function is gone for the reader: choose another name",
    no_errors: "show an expected error with try and print, and mend any other",
    no_machine_paths: "print names or relative paths",
    small: "fewer or smaller pictures, fewer samples",
    samples_described: "name the file, its origin and its licence there",
    links_resolve: "targets are relative to the page; anchors are headings in small letters, joined by hyphens",
    readme_in_sync: SYNC,
    one_title: "a second title is an entry of its own in the pages' contents; two numbers in one display are an error in MathJax",
    teaches: "the first cell and the last one: see any notebook; an exercise is `(5 minutes) ... *Right: ...*`",
    pages_built: "Sphinx says what it could not read",
    settings_sane: "settings.ini is the one place for name, version, dependencies and commands",
    imports_allowed: "add the requirement, or move what is shared down: two papers share a family notebook",
    harness_neutral: "the harness finds methods, tasks and tables by what they define, not by their names",
    imports_light: "see law 8: training runs where no figures are drawn",
    records_sound: f"only the harness writes records, a line each, with {', '.join(RECORD)}",
    formatted: SYNC,
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
