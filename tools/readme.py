"""README.md from nbs/index.ipynb: `python tools/readme.py`. Standard library only, and the same bytes each time.

Markdown cells are taken as they are, with their relative links moved from nbs/ to the root. Of a code cell the source is
shown unless it says `#| echo: false`, and its outputs: Markdown, tables, text and pictures (written to figures/readme_N.png).
Cells with `#| hide` or `#| include: false` are left out.
"""
from __future__ import annotations

import base64
import json
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(!?\[[^\]\n]*\]\(|\bsrc=\"|\bhref=\")([^)\"\s]+)")
NOTE = "<!-- Written by tools/readme.py from nbs/index.ipynb: edit that one. -->\n\n"
DROP = re.compile(r"^#\|\s*(hide|include:\s*false|default_exp)\b", re.MULTILINE)
SILENT = re.compile(r"^#\|\s*(echo:\s*false|hide_input)\b", re.MULTILINE)


class Table(HTMLParser):
    """The rows of an HTML table, as pandas writes it, each a list of texts."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a row or a cell."""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = []

    def handle_endtag(self, tag: str) -> None:
        """Put a finished cell into its row."""
        if tag in ("td", "th") and self.cell is not None:
            self.rows[-1].append(" ".join("".join(self.cell).split()).replace("|", "\\|"))
            self.cell = None

    def handle_data(self, data: str) -> None:
        """Collect the text of a cell; text elsewhere (style sheets) is not shown."""
        if self.cell is not None:
            self.cell.append(data)


def joined(text: str | list[str]) -> str:
    """Notebook text, which is stored as a string or as a list of lines."""
    return text if isinstance(text, str) else "".join(text)


def markdown_table(html: str) -> str:
    """An HTML table as a Markdown table; a second header row, the name of the index, is put into the first."""
    parser = Table()
    parser.feed(html)
    rows = [r for r in parser.rows if r]
    if len(rows) > 1 and html.count("<tr", 0, html.find("</thead>")) == 2:
        rows[:2] = [[a or b for a, b in zip(*rows[:2])]]
    lines = ["| " + " | ".join(r) + " |" for r in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def moved(target: str) -> str:
    """A link target of a page in nbs/ as seen from the root."""
    if re.match(r"[a-z][a-z0-9+.-]*:|#|/", target):
        return target
    return posixpath.normpath(posixpath.join("nbs", target))


def moved_links(text: str) -> str:
    """`text` with its relative links moved, except in fenced code."""
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(p if p.startswith("```") else LINK.sub(lambda m: m[1] + moved(m[2]), p) for p in parts)


def picture(png: str, alt: str, pictures: dict[str, bytes]) -> str:
    """Note a picture to be written, and return the Markdown that shows it."""
    name = f"figures/readme_{len(pictures) + 1}.png"
    pictures[name] = base64.b64decode(png)
    return f"![{alt}]({name})"


def output(out: dict, alt: str, pictures: dict[str, bytes]) -> str:
    """One output as Markdown, in the richest form that Markdown can show."""
    data = out.get("data", {})
    if "text/markdown" in data:
        return moved_links(joined(data["text/markdown"]).strip())
    if "image/png" in data:
        return picture(joined(data["image/png"]), alt, pictures)
    if "<table" in joined(data.get("text/html", "")):
        return markdown_table(joined(data["text/html"]))
    text = joined(out.get("text") or data.get("text/plain", "")).rstrip()
    return f"```text\n{text}\n```" if text and out.get("name") != "stderr" else ""


def code(cell: dict, pictures: dict[str, bytes]) -> list[str]:
    """The parts that a code cell leaves on the page: its source, unless silent, and its outputs."""
    source = joined(cell["source"])
    if DROP.search(source):
        return []
    alt = re.search(r"^#\|\s*fig-cap:\s*\"?(.*?)\"?$", source, re.MULTILINE)
    shown = re.sub(r"^#\|.*\n?", "", source, flags=re.MULTILINE).strip()
    parts = [] if SILENT.search(source) or not shown else [f"```python\n{shown}\n```"]
    return parts + [output(o, alt[1] if alt else "Figure", pictures) for o in cell["outputs"]]


def render(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """The page, and the pictures that it shows by their paths from the root."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            parts.append(moved_links(joined(cell["source"]).strip()))
        elif cell["cell_type"] == "code":
            parts += code(cell, pictures)
    return NOTE + "\n\n".join(p for p in parts if p) + "\n", pictures


def main() -> None:
    """Write README.md and its pictures, and remove pictures of before."""
    text, pictures = render(ROOT / "nbs/index.ipynb")
    for old in set((ROOT / "figures").glob("readme_*.png")) - {ROOT / p for p in pictures}:
        old.unlink()
    for path, png in pictures.items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_bytes(png)
    (ROOT / "README.md").write_text(text, encoding="utf-8")
    print(f"README.md: {len(text.splitlines())} lines, {len(pictures)} pictures")


if __name__ == "__main__":
    main()
