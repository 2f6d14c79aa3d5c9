"""Which paths fall under a policy of their own (RFC 3986 §3.3: segments and their parameters)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.httpcache.patterns import MOST_SEGMENTS, matches, parse_pattern, precedence, segments_of, template


def fits(pattern, path):
    return matches(parse_pattern(pattern), segments_of(path.encode()))


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/", "/"),
        ("/items", "/items"),
        ("/items/{id}", "/items/7"),
        ("/items/*", "/items/7"),
        ("/*/reviews", "/items/reviews"),
        ("/items/{id}/reviews/{number}", "/items/7/reviews/1"),
        ("/items/**", "/items"),
        ("/items/**", "/items/7/reviews"),
        ("/**", "/"),
        ("/**", "/a/b/c"),
        ("/größe", "/gr%C3%B6%C3%9Fe"),
        ("/a%7Eb", "/a~b"),
    ],
)
def test_a_path_falls_under_its_pattern(pattern, path):
    assert fits(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/", "/items"),
        ("/items", "/items/7"),
        ("/items", "/items7"),
        ("/items", "/Items"),
        ("/items/{id}", "/items"),
        ("/items/{id}", "/items/7/reviews"),
        ("/items/**", "/item"),
        ("/items/**", "/a/items"),
    ],
)
def test_another_path_does_not(pattern, path):
    assert not fits(pattern, path)


@pytest.mark.parametrize("path", ["/account/", "//account", "/account;x.css", "/account;a=1;b=2/", "/;v=1/account"])
def test_another_way_to_write_a_path_does_not_leave_its_policy(path):
    assert fits("/account", path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/account/{name}", "/account%2Fme"),
        ("/account/{name}", "/account%5Cme"),
        ("/account/**", "/account%2Fme%2Fcards/7"),
        ("/account", "/account%3Bx.css"),
        ("/account", "/account%2F"),
        ("/users/@me", "/users/%40me"),
        ("/users/%40me", "/users/@me"),
    ],
)
def test_nor_does_encoding_what_an_origin_decodes(pattern, path):
    assert fits(pattern, path)


def test_an_encoded_slash_does_not_slip_into_a_wider_policy():
    assert not fits("/items/{id}", "/items/7%2Fprivate")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("", "slash"),
        ("items", "slash"),
        ("/items/{id", "placeholder"),
        ("/items/{}", "placeholder"),
        ("/items/{id}.json", "placeholder"),
        ("/items/a*", "placeholder"),
        ("/**/items", "end only"),
        ("/items/***", "placeholder"),
        ("/items?q=1", "segment"),
        ("/a;b", "segment"),
        ("/..", "segment"),
        ("/a/./b", "segment"),
        ("/a b", "segment"),
        ("/%zz", "segment"),
        ("/" + "a/" * (MOST_SEGMENTS + 1), "segments"),
        ("/" + "a" * 600, "characters"),
    ],
)
def test_what_is_no_pattern_is_refused_with_a_reason(pattern, told):
    with pytest.raises(ValueError, match=told):
        parse_pattern(pattern)


@given(st.lists(st.sampled_from(["a", "b", "*", "{x}"]), max_size=6), st.lists(st.sampled_from(["a", "b"]), max_size=6))
def test_a_placeholder_is_any_one_segment_and_everything_else_is_itself(pattern, path):
    expected = len(pattern) == len(path) and all(
        wanted in ("*", "{x}", found) for wanted, found in zip(pattern, path, strict=False)
    )
    assert fits("/" + "/".join(pattern), "/" + "/".join(path)) is expected
    assert fits("/" + "/".join([*pattern, "**"]), "/" + "/".join([*path, "c", "d"])) is (
        len(path) + 2 >= len(pattern)
        and all(wanted in ("*", "{x}", found) for wanted, found in zip(pattern, [*path, "c", "d"], strict=False))
    )


@pytest.mark.parametrize(
    ("path", "falls_under"),
    [
        ("/items/7", "/items/{id}"),
        ("/items/7.json", "/items/{id}.json"),
        ("/items/7.tar.json", "/items/{id}.tar.json"),
        ("/items/latest", "/items/latest"),
        ("/items/latest/parts/1", "/items/latest/{rest}/{n}"),
        ("/items/7/parts/1", "/items/{id}/parts/{n}"),
        ("/items/7/other/1", "/{kind}/{id}/{part}/{n}"),
        ("/202611", "/{year}{month}"),
        ("/~me", "/~me"),
    ],
)
def test_of_several_templates_that_match_the_most_concrete_comes_first(path, falls_under):
    templates = ["/items/{id}", "/items/{id}.json", "/items/{id}.tar.json", "/items/latest", "/{kind}/{id}"]
    templates += ["/items/latest/{rest}/{n}", "/items/{id}/parts/{n}", "/{kind}/{id}/{part}/{n}", "/{any}", "/~{name}"]
    templates += ["/{year}{month}", "/~me"]
    found = [each for each in sorted(set(templates), key=precedence) if template(each).fullmatch(path.encode())]
    assert found[0] == falls_under
