"""The built site: it loads nothing external, has no broken links, and has the parts that only the
site can show.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.pages import ROOT

LOADS = {"src", "srcset", "data", "poster", "action", "background", "xlink:href"}
OUTSIDE = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)


class Page(HTMLParser):
    """What a page loads, what it links to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name == "href" and tag == "a":
                self.links.append(value or "")
            elif name in LOADS or name == "href":
                self.loads.append(value or "")


def from_outside(path: Path) -> list[str]:
    """Return what a file makes a browser load from other hosts."""
    text = path.read_text(errors="replace")
    if path.suffix == ".html":
        return [each for each in Page(text).loads if OUTSIDE.match(each)]
    if path.suffix == ".css":
        return [
            each
            for each in re.findall(r"(?:url\(|@import)\s*[\"']?([^\"')\s]+)", text)
            if OUTSIDE.match(each)
        ]
    if path.suffix == ".svg":
        return [
            each
            for each in re.findall(r"(?:href|src)=\"([^\"]+)\"|url\(([^)]+)\)", text)
            for each in each
            if OUTSIDE.match(each)
        ]
    if path.suffix == ".js":
        return re.findall(
            r"(?:fetch|import|importScripts|open)\s*\(\s*[\"'](?:https?:)?//[^\"']+", text
        )
    return []


def test_the_browser_loads_nothing_external(site: Path):
    files = [path for path in site.rglob("*") if path.is_file()]
    assert len([path for path in files if path.suffix == ".html"]) > 40
    assert {
        path.relative_to(site).as_posix(): found for path in files if (found := from_outside(path))
    } == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="//cdn.example.com/x.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="https://fonts.example.com/x.css">'),
        ("a.html", '<img src="http://example.com/x.svg">'),
        ("a.css", "@font-face { src: url(https://fonts.example.com/x.woff2) }"),
        ("a.svg", '<svg><image href="https://example.com/x.png"/></svg>'),
        ("a.js", 'fetch("https://example.com/x")'),
    ],
)
def test_an_external_load_would_be_noticed(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    assert from_outside(tmp_path / name)


def broken(site: Path) -> Iterator[str]:
    """Return broken links between pages."""
    read = {path.resolve(): Page(path.read_text()) for path in site.rglob("*.html")}
    for path, page in read.items():
        for link in page.links:
            target, _, anchor = link.partition("#")
            if OUTSIDE.match(link) or target.startswith("mailto:"):
                continue
            there = (path.parent / unquote(target)).resolve() if target else path
            if not there.exists() or (
                anchor and there.suffix == ".html" and unquote(anchor) not in read[there].anchors
            ):
                yield f"{path.relative_to(site)}: {link}"


def test_no_link_is_broken(site: Path):
    assert list(broken(site.resolve())) == []


def test_a_broken_link_of_the_site_would_be_noticed(tmp_path: Path):
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there">b</a> <a href="b.html#not">b</a> <a href="c.html">c</a> <a'
        ' href="https://x.example">x</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there">')
    assert list(broken(tmp_path.resolve())) == ["a.html: b.html#not", "a.html: c.html"]


def test_files_outside_of_docs_are_shown_in_place(site: Path):
    tutorial = (site / "start" / "ten-minutes.html").read_text()
    assert "cards-production" in tutorial
    assert "What you get" not in tutorial
    assert "watchNamespaces" in (site / "reference" / "values.html").read_text()
    assert "The same call rolls back." in (site / "start" / "tutorial.html").read_text()
    # And links to such a file lead to the page, not to a copy of the file.
    assert 'href="reference/values.html"' in (site / "install.html").read_text()


def test_the_site_s_generated_parts_exist(site: Path):
    words, classes = (
        (site / "reference" / name).read_text() for name in ("cli.html", "client.html")
    )
    assert {
        f"modelyard {each}" for each in ("status", "promote", "runs follow", "completion bash")
    } <= set(re.findall(r"<h2>([^<]+)<", words))
    assert '<span class="pre">--reason</span>' in words
    assert {"set_stage", "submit", "log_model", "NotAllowed", "wait"} <= set(
        re.findall(r'<span class="pre">(\w+)</span>', classes)
    )
    for text in (words, classes):
        assert "on your machine" not in text, "what is for a code host"


def test_the_side_bar_names_every_part(site: Path):
    captions = re.findall(
        r'<span class="caption-text">([^<]+)</span>', (site / "index.html").read_text()
    )
    assert captions == re.findall(
        r"^## (.+)$", (ROOT / "docs" / "index.md").read_text(), re.MULTILINE
    )
