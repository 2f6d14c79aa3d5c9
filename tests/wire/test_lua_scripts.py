"""Where the scripts that Redis runs are kept."""

import ast

from django.conf import settings

from apps.wire.lua_scripts import read_script


def test_what_redis_runs_stands_in_files_of_its_own_and_in_no_string_of_python():
    modules = [path for folder in ("apimgr", "apps") for path in (settings.BASE_DIR / folder).rglob("*.py")]
    texts = {
        path.name
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "redis.call(" in node.value
    }
    assert not texts


def test_a_script_reads_the_constants_of_its_module(tmp_path):
    (tmp_path / "books.lua").write_text("return MOST\n")
    assert read_script(str(tmp_path / "books.py"), "books", MOST=7) == "local MOST = 7\nreturn MOST\n"
