"""HTML pages in _docs: `python tools/docs.py`. nbdev prepares the notebooks, Sphinx with myst-nb renders them; a warning fails.

nbdev drops what is hidden and links the names in the text; it executes nothing (`skip_procs` in settings.ini). It writes for
Quarto, so its cells are put into the form that MyST reads: `#|` lines become tags, links to https://... pages of this project
become links between notebooks, and what notebooks link to is copied beside them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from nbdev.serve import proc_nbs

import check
import links

ROOT = check.ROOT
WORK, OUT = ROOT / "_proc", ROOT / "_docs"
CONF = '''"""Written by tools/docs.py."""
import sys
from pathlib import Path
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tools"))
project = html_title = "transfer_nb"
extensions = ["myst_nb", "sphinx.ext.mathjax", "sphinx-mathjax-offline"]
html_theme = "sphinx_book_theme"
html_static_path = ["static"]
html_css_files = ["pages.css"]
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 6
myst_heading_slug_func = "links.slug"
suppress_warnings = ["myst.header"]
exclude_patterns = ["**.md"]
html_theme_options = {"use_download_button": True, "home_page_in_toc": True, "show_toc_level": 1, "navbar_persistent": []}
'''
CSS = """/* Tables and lines that are wider than the page scroll. */
.bd-article table { display: block; overflow-x: auto; font-size: 0.85em; white-space: nowrap; }
.bd-article td, .bd-article th { white-space: normal; min-width: 7em; max-width: 28em; }
.bd-article tr > :first-child { min-width: 12em; }
.bd-main .bd-content .bd-article-container { max-width: 68em; }
.bd-article div.highlight pre { font-size: 0.8em; }
.bd-header { display: none; }
.bd-article mjx-container { overflow-x: auto; overflow-y: hidden; max-width: 100%; }
"""


def own_link(match: re.Match[str]) -> str:
    """A link that nbdev made to a page of this project, as a link to the notebook, by its number."""
    page, anchor = match[1], match[2]
    found = [p.name for p in sorted(WORK.glob("*.ipynb")) if re.sub(r"^\d+\w*?_", "", p.stem) == page]
    return f"]({found[0]}#{anchor})" if found else match[0]


def near(match: re.Match[str]) -> str:
    """A link out of nbs/ as a link to a copy beside the page; Markdown is shown as it is, since it is no page of these."""
    source, copy = ROOT / match[1], re.sub(r"\.md$", ".md.txt", match[1])
    if source.is_file():
        (WORK / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, WORK / copy)
        return "](" + copy
    return match[0]


def anchored(match: re.Match[str], page: Path) -> str:
    """A link with an anchor in the form of our headings, or without it if there is no such heading."""
    there = WORK / match[1] if match[1] else page
    anchor = links.slug(match[2])
    known = there.exists() and anchor in links.anchors(there)
    return f"]({match[1]}#{anchor})" if known else f"]({there.name})"


def folded(name: str) -> set[str]:
    """The ids of the cells whose code is folded away: those exported without being told in the text."""
    return {c["id"] for c in check.cells_of(check.NBS / name) if re.search(r"^#\|\s*exporti?\s*$", c["source"], re.MULTILINE)}


def for_myst(cell: dict, folded_ids: set[str]) -> dict:
    """One cell in the form that MyST reads."""
    source = "".join(cell["source"])
    if cell["cell_type"] != "code":
        return cell | {"source": source}
    silent = re.search(r"^#\|\s*echo:\s*false", source, re.MULTILINE)
    tags = ["remove-input"] if silent else ["hide-input"] if cell["id"] in folded_ids else []
    return cell | {"metadata": {"tags": tags}, "source": re.sub(r"^#\|.*\n?", "", source, flags=re.MULTILINE)}


def rewrite(path: Path, host: str) -> None:
    """Put a notebook into the form that MyST reads, but for the anchors, which need all pages."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    ids = folded(path.name)
    cells = [c for c in (for_myst(c, ids) for c in notebook["cells"]) if c["source"].strip()]
    for cell in (c for c in cells if c["cell_type"] == "markdown"):
        text = re.sub(rf"\]\({re.escape(host)}/([\w.]+)\.html#([^)]+)\)", own_link, cell["source"])
        cell["source"] = re.sub(r"\]\(\.\./([^)#\s]+)", near, text)
    path.write_text(json.dumps(notebook | {"cells": cells}), encoding="utf-8")


def mend_anchors(path: Path) -> None:
    """Give the links of a page anchors that exist."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in (c for c in notebook["cells"] if c["cell_type"] == "markdown"):
        cell["source"] = re.sub(r"\]\(([\w.-]*)#([^)]+)\)", lambda m: anchored(m, path), cell["source"])
    path.write_text(json.dumps(notebook), encoding="utf-8")


def add_contents(index: Path) -> None:
    """Put the table of contents at the end of the first page."""
    names = "\n".join(p.stem for p in check.notebook_paths() if p.stem != index.stem)
    notebook = json.loads(index.read_text(encoding="utf-8"))
    notebook["cells"].append(
        {
            "cell_type": "markdown",
            "id": "contents",
            "metadata": {},
            "source": f"```{{toctree}}\n:hidden:\n:maxdepth: 1\n\n{names}\n```",
        }
    )
    index.write_text(json.dumps(notebook), encoding="utf-8")


def prepare() -> None:
    """Make the folder that Sphinx reads."""
    proc_nbs(force=True, n_workers=2)
    cfg, pages = check.settings(), sorted(WORK.glob("*.ipynb"))
    for page in pages:
        rewrite(page, cfg["doc_host"] + cfg["doc_baseurl"])
    for page in pages:
        mend_anchors(page)
    add_contents(WORK / "index.ipynb")
    (WORK / "conf.py").write_text(CONF, encoding="utf-8")
    (WORK / "static").mkdir(exist_ok=True)
    (WORK / "static/pages.css").write_text(CSS, encoding="utf-8")


def main() -> None:
    """Prepare, render, and say where the pages are."""
    prepare()
    shutil.rmtree(OUT, ignore_errors=True)
    status = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", WORK, OUT], check=False)
    shutil.rmtree(ROOT / "jupyter_execute", ignore_errors=True)  # myst-nb leaves it, empty, beside the pages
    print("Pages: _docs/index.html" if status.returncode == 0 else "Sphinx found the above.")
    sys.exit(status.returncode)


if __name__ == "__main__":
    main()
