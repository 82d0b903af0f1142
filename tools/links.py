"""Links of notebooks and Markdown pages that lead nowhere. Standard library only."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

TARGET = re.compile(r"\]\(\s*<?([^)\s>]+)|^\[[^\]]+\]:\s*(\S+)|<(?:a|img)\s[^>]*?(?:href|src)=[\"']([^\"']+)", re.MULTILINE)
NOT_CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
NOT_PROSE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`|\$\$.*?\$\$|\$[^$\n]+\$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$|<\w+\s[^>]*?(?:id|name)=[\"']([^\"']+)", re.MULTILINE)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def markdown_of(path: Path) -> list[str]:
    """The Markdown texts of a page: the whole of a .md file, the text cells and Markdown outputs of a notebook."""
    if path.suffix != ".ipynb":
        return [path.read_text(encoding="utf-8")]
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [o.get("data", {}).get("text/markdown", "") for c in cells for o in c.get("outputs", [])]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "markdown"] + ["".join(o) for o in outputs]


def slug(text: str) -> str:
    """A heading or an anchor in the form in which they are compared: words in small letters, joined by hyphens."""
    return re.sub(r"[\W_]+", "-", unquote(text).lower()).strip("-")


@cache
def anchors(path: Path) -> set[str]:
    """The anchors of a page: its headings and what has an id."""
    return {slug(a or b) for text in markdown_of(path) for a, b in HEADING.findall(NOT_CODE.sub("", text))}


def problem(target: str, page: Path, root: Path) -> str:
    """What is wrong with a link on `page`, or an empty text."""
    file, _, anchor = target.partition("#")
    if ELSEWHERE.match(target):
        return ""
    there = (page.parent / unquote(file)).resolve() if file else page
    if not there.is_relative_to(root):
        return "leaves the project"
    if not there.exists():
        return "no such file"
    if anchor and there.suffix in (".md", ".ipynb") and slug(anchor) not in anchors(there):
        return "no such heading there"
    return ""


def broken(page: Path, root: Path) -> list[str]:
    """A line for each link on `page` that leads nowhere."""
    found = [t for text in markdown_of(page) for m in TARGET.findall(NOT_PROSE.sub("", text)) for t in m if t]
    wrong = [(t, problem(t, page, root)) for t in found]
    return [f"{page.relative_to(root)}: {t}: {p}" for t, p in wrong if p]
