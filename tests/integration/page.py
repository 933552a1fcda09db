"""A page of HTML as a browser's parser reads it, held to what every report owes its reader."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser

VOID = {"meta", "br", "link", "img", "hr", "input"}
FORBIDDEN = {
    "script",
    "iframe",
    "object",
    "embed",
    "form",
    "link",
    "base",
    "img",
    "video",
    "audio",
    "input",
    "foreignobject",
}


class Page(HTMLParser):
    """Reads a page. ``ids``, ``links``, ``headings`` and ``rows`` are in their order; ``text`` is all that is shown."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.labels: list[str] = []
        self.labelled: list[str] = []
        self.texts: list[str] = []
        self.style = self.policy = ""
        self._open: list[str] = []
        self._tables: list[bool] = []
        self.feed(data.decode())
        self.close()
        assert self._open == [], "elements are left open"
        self._check()

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._take(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert "svg" in self._open, f"<{tag}/> closes itself in SVG alone"
        self._take(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1:] == [tag], f"</{tag}> stands in {self._open}"
        self._open.pop()
        if tag == "table":
            assert self._tables.pop(), "a table has no caption"

    def handle_data(self, data: str) -> None:
        if self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.texts.append(data)

    def _take(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        assert len(found) == len(attrs), f"<{tag}> has an attribute twice"
        assert tag not in FORBIDDEN, tag
        assert not any(name.startswith("on") or name in ("style", "src", "srcset") for name in found), (tag, found)
        if "id" in found:
            self.ids.append(found["id"])
        if "href" in found:
            self.links.append(found["href"])
        self.labelled += found.get("aria-labelledby", "").split()
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if found.get("role") == "region":
            assert found["tabindex"] == "0", "a region that scrolls can be focused"
            self.labels.append(found["aria-label"])
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"]
        if tag == "table":
            self._tables.append(False)
        if tag == "caption":
            self._tables[-1] = True
        assert tag != "th" or "scope" in found

    def _check(self) -> None:
        assert len(set(self.ids)) == len(self.ids), "an id stands twice"
        assert "" not in self.ids
        for link in self.links:
            assert link.startswith("#"), f"{link} leads out of the page"
            assert link[1:] in self.ids, f"{link} leads nowhere"
        assert set(self.labelled) <= set(self.ids)
        assert len(set(self.labels)) == len(self.labels), "two regions have one name"
        assert self.headings[0] == 1
        assert all(after <= before + 1 for before, after in zip(self.headings, self.headings[1:], strict=False))
        digest = b64encode(hashlib.sha256(self.style.encode()).digest()).decode()
        assert self.policy == (
            f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        ), "the policy is not the strict one, or its hash is of another style"
        assert "url(" not in self.style.replace("url(#", ""), "the style loads something"
        assert "@import" not in self.style
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", self.text)
