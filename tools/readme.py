"""README.md from nbs/index.ipynb: `python tools/readme.py`. nbconvert renders it; the same notebook gives the same bytes.

Links are moved from nbs/ to the root, and pictures are written to figures/readme_N.png, with `#| fig-cap:` as their text. The
source of a code cell is shown unless it has `#| echo: false`. A cell with `#| hide` or `#| include: false` is left out. What is
to be a table must be Markdown (`to_markdown` of pandas makes it); HTML is not shown.
"""

from __future__ import annotations

import base64
import posixpath
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbconvert import MarkdownExporter
from nbconvert.preprocessors import Preprocessor

ROOT = Path(__file__).resolve().parent.parent
LINK = r"(!?\[[^\]\n]*\]\(|\bsrc=\"|\bhref=\")([^)\"\s]+)"
NOTE = "<!-- Written by tools/readme.py from nbs/index.ipynb: edit that one. -->\n"
DROP = re.compile(r"^#\|\s*(hide|include:\s*false|default_exp)\b", re.MULTILINE)
SILENT = re.compile(r"^#\|\s*(echo:\s*false|hide_input)\b", re.MULTILINE)
CAPTION = re.compile(r"^#\|\s*fig-cap:\s*\"?(.*?)\"?$", re.MULTILINE)
SHOWN = ["text/markdown", "image/png", "text/plain"]  # of an output, the first of these that it has


def moved(target: str) -> str:
    """A link target of a page in nbs/ as seen from the root."""
    if re.match(r"[a-z][a-z0-9+.-]*:|#|/", target):
        return target
    return posixpath.normpath(posixpath.join("nbs", target))


def outside_code(text: str, pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> str:
    """`re.sub`, except in fenced code."""
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(p if p.startswith("```") else re.sub(pattern, replacement, p) for p in parts)


def moved_links(text: str) -> str:
    """`text` with its relative links moved."""
    return outside_code(text, LINK, lambda m: m[1] + moved(m[2]))


class ForReadme(Preprocessor):
    """Does what the `#|` lines say, moves links, and takes pictures out of the notebook."""

    def preprocess(self, nb: Any, resources: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Leave cells out, then change the others one by one."""
        nb.cells = [c for c in nb.cells if not DROP.search(c.source)]
        nb.metadata.language_info = {"name": "python"}
        return super().preprocess(nb, resources | {"pictures": {}})

    def preprocess_cell(self, cell: Any, resources: dict[str, Any], index: int) -> tuple[Any, dict[str, Any]]:
        """Change one cell."""
        if cell.cell_type != "code":
            cell.source = moved_links(cell.source)
            return cell, resources
        caption = CAPTION.search(cell.source)
        silent = SILENT.search(cell.source)
        cell.source = re.sub(r"^#\|.*\n?", "", cell.source, flags=re.MULTILINE).strip()
        cell.metadata.transient = {"remove_source": bool(silent) or not cell.source}
        cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
        for out in [o for o in cell.outputs if "data" in o]:
            kind = next((k for k in SHOWN if k in out.data), "")
            out.data = {kind: out.data[kind]} if kind else {}
            if kind == "text/markdown":
                out.data[kind] = moved_links(out.data[kind])
            if kind == "image/png":
                name = f"figures/readme_{len(resources['pictures']) + 1}.png"
                resources["pictures"][name] = base64.b64decode(out.data[kind])
                out.data = {"text/markdown": f"![{caption[1] if caption else 'Figure'}]({name})"}
        return cell, resources


def render(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """The page, and the pictures that it shows by their paths from the root."""
    exporter = MarkdownExporter()
    exporter.register_preprocessor(ForReadme, enabled=True)
    text, resources = exporter.from_filename(str(notebook))
    return NOTE + outside_code(text, r"\s*\n\s*\n(?=\S|$)", "\n\n").strip() + "\n", resources["pictures"]


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
