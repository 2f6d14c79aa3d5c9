"""CommonMark as HTML that a page may show, whoever wrote it.

HTML in the text stays text. Images aren't shown: they would tell a stranger's server who reads. Links lead to the web or to a mail
program and vouch for nothing. Headings are below those of the page.
"""

from collections.abc import Sequence
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

LONGEST = 100_000
"""Characters that are read as Markdown; a longer text is shown as it is."""

_SCHEMES = ("https://", "http://", "mailto:")
_UPPERMOST = 3


class _Reader(MarkdownIt):
    def validateLink(self, url: str) -> bool:
        return url.lower().startswith(_SCHEMES)


def rendered(text: str) -> SafeString:
    """``text`` as HTML."""
    if len(text) > LONGEST:
        return format_html('<div class="plain-text">{}</div>', text)
    tokens = _reader.parse(text)
    _adapt(tokens)
    html = _reader.renderer.render(tokens, _reader.options, {})
    return mark_safe(html)  # noqa: S308 - made of tokens, and the reader takes no HTML


def _adapt(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + _UPPERMOST - 1, 6)}"
        elif token.type == "link_open":
            token.attrSet("rel", "nofollow noopener noreferrer")
        _adapt(token.children or ())


def _made() -> Any:
    return _Reader("commonmark", {"html": False}).enable("table").disable("image")


_reader = _made()
