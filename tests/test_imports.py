"""No circle of imports: what a module needs can be read and tested without what needs the module."""

from tests.support.imports import PICTURE, Graph, graph, picture, reached


def circles(imports: Graph) -> list[list[str]]:
    """The modules of each circle: those that reach each other. What nobody is left to lead to, or to come from, is in none."""
    left = dict(imports)
    while True:
        needed = set().union(*left.values()) if left else set()
        outside = {module for module, needs in left.items() if module not in needed or not needs & left.keys()}
        if not outside:
            break
        left = {module: needs - outside for module, needs in left.items() if module not in outside}
    below = {module: reached(left, module) for module in left}
    found = {frozenset(other for other in below[module] if module in below[other]) for module in left}
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(graph()) == []


def test_circles_are_found_and_what_leads_to_them_or_comes_from_them_is_no_part_of_them() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": set(), "x": {"y"}, "y": {"z"}, "z": {"x", "a"}}
    assert circles(imports) == [["b", "c"], ["x", "y", "z"]]


def test_imports_are_found_wherever_they_stand() -> None:
    found = graph()
    assert "apps.gateway.server.worker" in found["apps.gateway.server.django_view"]  # in a function
    assert "apps.gateway.limits.allowances" in found["apps.gateway.call.call"]  # under TYPE_CHECKING
    assert "apps.gateway.gateway" in found["apps.gateway.memory"]  # a module named as one of its package's


def test_the_picture_of_the_rooms_is_that_of_the_code() -> None:
    assert PICTURE.read_text() == picture(), "draw it anew: python -m tests.support.imports"
