"""What the documentation can get wrong without anybody noticing: numbers given twice, tests and settings that aren't there."""

import re

import pytest
import yaml
from django.conf import settings

from apps.gateway.pipeline.authenticators.token_faults import TokenFault

DOCS = settings.BASE_DIR / "docs"
SETTINGS = "".join((settings.BASE_DIR / "apimgr" / name).read_text() for name in ("settings.py", "environment.py"))
VARIABLES = sorted(set(re.findall(r'\b(?:read|read_list|secret)\(\s*"([A-Z0-9_]+)"', SETTINGS)))


def rows(page: str) -> list[list[str]]:
    """The cells of every row of a table."""
    lines = (DOCS / page).read_text().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def test_every_decision_has_a_number_of_its_own_and_says_it():
    pages = sorted((DOCS / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert page.read_text().startswith(f"# {int(page.name[:4])}. "), page.name


def test_every_reason_why_a_caller_is_not_known_stands_in_the_page_about_access():
    """Operators read these codes in the traces of calls."""
    folder = settings.BASE_DIR / "apps" / "gateway" / "pipeline"
    sources = [*folder.glob("authenticators/*.py"), folder / "stages" / "authenticate.py"]
    literal = {
        code for each in sources for code in re.findall(r'"((?:certificate|signature|used)_\w+)"', each.read_text())
    }
    text = (DOCS / "access.md").read_text()
    assert len(literal) >= 5
    assert sorted(code for code in literal | {each.code for each in TokenFault} if f"`{code}`" not in text) == []


def test_every_kind_of_fault_names_a_test_that_is_there():
    text = (DOCS / "threat-model.md").read_text()
    kinds = [row for row in rows("threat-model.md") if len(row) == 3 and "tests/" in row[2]]
    assert len({row[0] for row in kinds}) == len(kinds) >= 25
    named = set(re.findall(r"`(tests/[\w/]+\.py)", text))
    assert [name for name in sorted(named) if not (settings.BASE_DIR / name).exists()] == []


@pytest.mark.parametrize("page", ["where-do-i.md", "architecture.md", "gateway.md", "caching.md", "operations.md"])
def test_the_files_that_a_page_names_are_there(page: str):
    named = re.findall(r"`(apps/[\w/]+(?:\.py|/))`", (DOCS / page).read_text())
    assert [name for name in named if not (settings.BASE_DIR / name).exists()] == []


@pytest.mark.parametrize("variable", VARIABLES)
def test_every_variable_of_the_environment_is_described_once(variable: str):
    described = [name for row in rows("configuration.md") for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row[0])]
    assert described.count(variable) == 1


def test_the_composed_installation_and_its_example_name_the_same_variables():
    composed = (settings.BASE_DIR / "docker-compose.yml").read_text()
    example = (settings.BASE_DIR / ".env.example").read_text()
    assert set(re.findall(r"\$\{([A-Z0-9_]+)", composed)) == set(re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE))


@pytest.mark.parametrize("service", ["console", "gateway"])
def test_what_the_composed_installation_hands_on_is_read(service: str):
    handed = yaml.safe_load((settings.BASE_DIR / "docker-compose.yml").read_text())["services"][service]["environment"]
    assert [name for name in handed if name not in VARIABLES and f'"{name}"' not in SETTINGS] == []
