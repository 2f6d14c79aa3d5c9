"""Each module of the core has a test module of its own, which names the rule that it tests (RFC 9111 and its relatives).

``python -m tests.httpcache.covered`` shows that each is also covered by its own.
"""

import importlib
import re

import pytest

from tests.httpcache.covered import HERE, modules

_RULE = re.compile(r"RFC \d{4}|W3C |§\d")


@pytest.mark.parametrize("name", modules())
def test_a_module_has_its_own_tests_and_they_name_their_rule(name):
    assert (HERE / f"test_{name}.py").exists()
    tests = importlib.import_module(f"tests.httpcache.test_{name}")
    assert _RULE.search(tests.__doc__ or ""), tests.__doc__
