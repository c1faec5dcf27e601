"""Every page of the documentation leads to pages that are there, and is led to by another one."""

from __future__ import annotations

import re
from pathlib import Path

from tests.fixtures import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def links_of(page: Path) -> set[Path]:
    """The files that a page links to, whether they are there or not."""
    named = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    return {(page.parent / name).resolve() for name in named if "://" not in name}


def test_every_link_leads_to_a_file() -> None:
    assert not [link for page in PAGES for link in links_of(page) if not link.exists()]


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    front = {ROOT / "README.md"}
    while front:
        reached |= front
        front = {
            link for page in front for link in links_of(page) if link.suffix == ".md"
        } - reached
    assert not set(PAGES[2:]) - reached
