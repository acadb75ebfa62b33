"""The documentation's site: Sphinx reads the pages as they stand in the repository, where a code
host shows them too.

What differs between the two is made here: links that leave `docs/` for a file that the site has as
a page; pages that only point at such a file (`<!-- The site shows ... here. -->`), which the site
shows in place; what the site writes from the code (`<!-- The site writes ... here. -->`,
`written.py`); and its contents, from the lists of links on the pages in `CONTENTS`. What pages say
does not belong here.
"""

import os
import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT / "operator")]

import written  # noqa: E402 - these folders are put on the path above

from modelyard import __version__  # noqa: E402

project = "modelyard"
project_copyright = "the authors of modelyard, Apache-2.0"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["**/.*"]
nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", ".*")
]  # types of other packages and of our inside are named in signatures, and are no pages
default_role = "literal"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
myst_heading_anchors = 4
highlight_language = "none"

html_theme = "furo"
html_title = f"modelyard {release}"
html_static_path = ["static"]
html_css_files = ["modelyard.css"]
html_favicon = "static/favicon.svg"
html_copy_source = False
html_show_sourcelink = False

CONTENTS = ("index", "decisions/README", "gates/README")
"""Pages whose lists of links are the site's contents: `- [title](page.md)`, below a heading that
names the part.
"""

ITEM = re.compile(r"^- \[[^\]]+\]\((?P<page>[^)#:]+)[.]md\)", re.MULTILINE)
WRITTEN = {
    "<!-- The site writes the words of the command line here. -->": written.command_line,
    "<!-- The site writes the classes of the client here. -->": written.client,
}
SHOWN = re.compile(
    r'<!-- The site shows (?P<file>\S+)(?: from "(?P<first>[^"]+)" to "(?P<end>[^"]+)")? here\. -->'
)
LINK = re.compile(
    r"(?P<open>!?\[(?:[^\]\[]|\[[^\]]*\]|!\[[^\]]*\]\([^)]*\))*\]\()(?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)"
)
FENCE = re.compile(r"^( *```.*?^ *```[ ]*$)", re.MULTILINE | re.DOTALL)


def setup(app: Sphinx) -> None:
    """Have every page pass through `read`."""
    app.connect("source-read", read)


def read(_app: Sphinx, name: str, source: list[str]) -> None:
    """Show the file that a page stands for, and turn links to files of the repository into links
    to pages, where there are any.
    """
    text, base = source[0], (HERE / name).parent
    if found := SHOWN.search(text):
        path = ROOT / found["file"]
        whole, base = path.read_text(encoding="utf-8"), path.parent
        text = (
            written.notebook(whole)
            if path.suffix == ".ipynb"
            else part(whole, found["first"], found["end"])
        )
    for mark, write in WRITTEN.items():
        if mark in text:  # what follows is for a code host
            text = text.partition(mark)[0] + write()
    pieces = FENCE.split(text)
    pages = shown()
    for index in range(0, len(pieces), 2):  # what is in a fence is no link
        pieces[index] = LINK.sub(
            lambda link: linked(link, base, (HERE / name).parent, pages), pieces[index]
        )
    source[0] = "".join(pieces) + (contents(text) if name in CONTENTS else "")


def contents(text: str) -> str:
    """Return the tables of contents that a page's lists are, for the site's side bar."""
    tables = []
    for section in re.split(r"^(?=## )", text, flags=re.MULTILINE):
        heading = re.match(r"## (.+)", section)
        options = [":hidden:", *([f":caption: {heading[1]}"] if heading else [])]
        if pages := ITEM.findall(section):
            tables.append("\n".join(["", "```{toctree}", *options, "", *pages, "```", ""]))
    return "".join(tables)


def part(text: str, first: str | None, end: str | None) -> str:
    """Return the section of a file from one heading to before another, as a page of its own;
    without headings the whole file.
    """
    if first is None or end is None:
        return text
    section = text[text.index(f"\n{first}\n") : text.index(f"\n{end}\n")].lstrip("\n")
    return re.sub(r"^#+", "#", section, count=1)


def shown() -> dict[Path, Path]:
    """Return the pages that stand for files outside of `docs/`, by those files."""
    found = {}
    for page in HERE.rglob("*.md"):
        if match := SHOWN.search(page.read_text(encoding="utf-8")):
            found[ROOT / match["file"]] = page
    return found


def linked(link: re.Match[str], base: Path, folder: Path, pages: dict[Path, Path]) -> str:
    """Return one link as the site needs it: to a page, to a copy of a file, or, for a folder
    that is no page, its words alone.
    """
    target, anchor = link["target"], link["anchor"] or ""
    if not target or "://" in target or target.startswith("mailto:"):
        return link[0]
    path = Path(os.path.normpath(base / target))
    if path.is_dir() and (path / "README.md").is_file():
        path /= "README.md"
    path = pages.get(path, path)
    if path.is_dir():
        return link["open"].removesuffix("](").removeprefix("[")
    return f"{link['open']}{os.path.relpath(path, folder)}{anchor})"
