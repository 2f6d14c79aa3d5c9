"""What is wrong with how a page looks: what axe-core finds, and what is wider than the page."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Page

FOLDER = Path(__file__).parent
AXE, RUN_AXE, LAYOUT = AXE_FILE_PATH.read_text(), (FOLDER / "axe.js").read_text(), (FOLDER / "layout.js").read_text()

Rules = Mapping[str, Any]
"""Options for axe: which of its rules are asked, and of what not (``exclude``, selectors)."""

ALL: Rules = {}
COLOURS: Rules = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""What a change of the colour scheme alone can break."""
SHAPE: Rules = {"rules": {"color-contrast": {"enabled": False}}}
"""What a change of the width alone can break: all but the rule that takes most of the time."""
FIRST_ROWS: Rules = {"exclude": ["tbody tr:nth-child(n+6)", "li:nth-child(n+9)"]}
"""Of lists the beginning: for a page all of whose rows were looked at in another width."""


def defects(page: Page, rules: Rules = ALL) -> list[str]:
    """What is wrong with the page as it is shown now."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE)
    return [*page.evaluate(RUN_AXE, rules), *page.evaluate(LAYOUT)]
