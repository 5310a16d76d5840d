"""What a visitor would stumble over in a built site: links, anchors, pictures that lead nowhere, and foreign files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("video", "src"), ("source", "src")}
SHOWN = FETCHED | {("a", "href")}


@dataclass
class Page(HTMLParser):
    """Where a page links to, what it fetches, and its anchors."""

    links: list[tuple[str, str]] = field(default_factory=list)  # tag, address
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.anchors |= {value for name, value in attrs if name in ("id", "name") and value}
        self.links += [(tag, value) for name, value in attrs if (tag, name) in SHOWN and value]


def faults(site: Path) -> list[str]:
    """One line for each; none is a sound site."""
    pages = {path: read(path) for path in site.rglob("*.html")}
    return [f"{path.relative_to(site)}: {fault}" for path in sorted(pages) for fault in of(path, pages, site)]


def read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def of(path: Path, pages: dict[Path, Page], site: Path) -> Iterator[str]:
    for tag, address in pages[path].links:
        parts = urlsplit(address)
        if parts.scheme == "data" or (parts.scheme and tag == "a"):
            continue  # inside the page, or somebody else's
        if parts.scheme or parts.netloc:
            yield f"fetches {address}"
            continue
        inside = unquote(parts.path)
        start = site if inside.startswith("/") else path.parent  # 404.html does not know where it will be shown
        there = (start / inside.lstrip("/")).resolve() if inside else path
        there = there / "index.html" if there.is_dir() else there
        if not there.is_file():
            yield f"{tag} leads to {address}, which is not there"
        elif parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].anchors:
            yield f"{tag} leads to {address}, which has no such anchor"
