"""The pages in the repository: what a code host shows, and which blocks are run."""

import ast
import builtins
import re
import subprocess
from pathlib import Path

import pytest

from tests.pages import DOCS, ROOT, Block, blocks, pages, script

PAGES = pages()
ALL = [block for page in PAGES for block in blocks(page)]
LANGUAGES = {"sh", "python", "yaml", "json", "text", "promql"}
every_page = pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.relative_to(ROOT).as_posix()
)


def slug(heading: str) -> str:
    """Return the anchor that a code host gives a heading."""
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    seen: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        name = slug(heading)
        found.add(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return found


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```[ ]*$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def dangling(page: Path) -> list[str]:
    """Return relative links of a page that a code host cannot follow."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            found.append(target)
    return found


@every_page
def test_a_code_host_can_follow_its_links(page: Path):
    assert dangling(page) == []


def test_a_broken_link_would_be_noticed(tmp_path: Path):
    (tmp_path / "b.md").write_text("# One thing\n\n## `Two` things\n\n## One thing\n")
    (tmp_path / "a.md").write_text(
        "# A\n"
        "[x](b.md#two-things) [x](b.md#one-thing-1) [x](b.md#three) [x](c.md) [x](#a)"
        " [x](https://x.example/y)\n"
    )
    assert dangling(tmp_path / "a.md") == ["b.md#three", "c.md"]


@every_page
def test_a_page_has_one_title_and_its_pictures_have_texts(page: Path):
    assert len(re.findall(r"^# ", prose(page), re.MULTILINE)) == 1
    assert re.findall(r"!\[\]", prose(page)) == []


# --- blocks that are run
# -----------------------------------------------------------------------------------
@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_says_whether_it_is_run(block: Block):
    assert block.language in LANGUAGES, "name its language; commands are sh, so that they are run"
    if block.not_run is not None:
        assert len(block.not_run.split()) >= 3, "say why it is not run"
    if block.language in {"text", "json"}:
        assert not re.search(r"^\$ |^kubectl |^helm ", block.text, re.MULTILINE), "a command is sh"


def test_few_blocks_are_not_run():
    commands = [block for block in ALL if block.language in {"sh", "python"}]
    spared = [str(block) for block in commands if block.not_run is not None]
    assert len(commands) > 60
    elsewhere = [
        each.rpartition(":")[0] for each in spared if not each.startswith("docs/install.md")
    ]
    # Those of tenants.md are run, by tests/chart/test_tenants_page.py: they change the release. So
    # are those of signed.md, see there.
    assert sorted(elsewhere) == [
        "docs/cli.md",
        "docs/client.md",
        "docs/gates/approvals.md",
        "docs/gates/signed.md",
        "docs/gitops.md",
        "docs/gitops.md",
        *3 * ["docs/how-to/tenants.md"],
        "docs/retention.md",
    ]
    assert len(spared) <= 19


@pytest.mark.parametrize(
    "page", [page for page in PAGES if script(page)], ids=lambda page: page.stem
)
def test_shell_blocks_are_valid_shell(page: Path):
    done = subprocess.run(
        ["bash", "-n"], input=script(page), capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    # In a script `kubectl ... &` that still writes would keep the reader's test waiting.
    assert [
        line
        for line in script(page).splitlines()
        if line.endswith(" &") and ">/dev/null 2>&1" not in line
    ] == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if script(page, "python")], ids=lambda page: page.stem
)
def test_python_blocks_import_only_existing_names(page: Path):
    tree = ast.parse(script(page, "python"))
    bound = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    bound |= {
        (alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names
    }
    used = {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    assert used - bound - set(dir(builtins)) == set(), "a reader would stumble here"


# --- pictures -------------------------------------------------------------------------------------
PICTURES = sorted((DOCS / "pictures").glob("*.svg"))
every_picture = pytest.mark.parametrize("picture", PICTURES, ids=lambda path: path.stem)


@every_picture
def test_a_picture_is_shown_somewhere_and_says_what_it_is(picture: Path):
    assert any(f"pictures/{picture.name})" in page.read_text() for page in PAGES)
    assert re.search(r"<title>[^<]{10,}</title>", picture.read_text())


@every_picture
def test_a_picture_is_readable_in_dark_mode(picture: Path):
    """All have one set of colours and a second one for dark mode, and use no others."""
    style = re.compile(r"<style>.*?</style>", re.DOTALL)
    assert "prefers-color-scheme: dark" in style.findall(picture.read_text())[0]
    assert style.findall(picture.read_text()) == style.findall(PICTURES[0].read_text())
    assert re.findall(r'(?:fill|stroke)="#', style.sub("", picture.read_text())) == []


@every_picture
def test_a_picture_is_readable_on_a_phone(picture: Path):
    text = picture.read_text()
    (width,) = re.findall(r'<svg[^>]* viewBox="0 0 (\d+) ', text)
    sizes = [int(size) for size in re.findall(r'font-size="(\d+)"', text)]
    assert int(width) <= 800
    assert min(sizes) >= 13
