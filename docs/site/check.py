"""Checks of a built site: links lead somewhere, and no page asks another host for anything."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
"""Tags that make a browser fetch something, and the attribute that names it."""


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        if (link := values.get("href")) and tag in ("a", "link"):
            self.links.append(link)
        if (load := values.get(LOADED.get(tag, ""))) and values.get("rel") != "canonical":
            self.loads.append(load)


def problems(site: Path) -> list[str]:
    """Broken links, and what would be fetched from another host."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    messages = []
    for path, page in pages.items():
        where = path.relative_to(site)
        for link in dict.fromkeys([*page.links, *page.loads]):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    messages.append(f"{where}: loads {link}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                messages.append(f"{where}: {link}: no such file")
            elif (
                parts.fragment
                and target in pages
                and unquote(parts.fragment) not in pages[target].anchors
            ):
                messages.append(f"{where}: {link}: no such anchor")
    return messages
