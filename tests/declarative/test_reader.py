"""The declarative file's text: plain scalars without YAML 1.1's surprises, lines for every value, bounds."""

import pytest

from apps.declarative.reader import FileError, read_text


def test_words_that_yaml_1_1_would_change_stay_as_they_are_written():
    source = read_text(b"a: off\nb: on\nc: 1:30\nd: 0100\ne: yes\nf: 2024-01-01\ng: 1_000\nh: 0x1f")
    assert source.data == {
        "a": "off", "b": "on", "c": "1:30", "d": 100, "e": "yes", "f": "2024-01-01", "g": "1_000", "h": "0x1f",
    }  # fmt: skip


def test_true_numbers_and_null_are_what_they_look_like():
    assert read_text(b"a: true\nb: -3\nc: 1.5\nd: ~\ne:\nf: 'true'").data == {
        "a": True, "b": -3, "c": 1.5, "d": None, "e": None, "f": "true",
    }  # fmt: skip


def test_json_is_read_too_and_has_lines():
    source = read_text(b'{\n "version": 1,\n "apis": [\n  {"slug": "a"}\n ]\n}')
    assert source.data == {"version": 1, "apis": [{"slug": "a"}]}
    assert source.line(("apis", 0, "slug")) == 4


def test_a_value_that_is_absent_has_the_line_of_what_is_around_it():
    source = read_text(b"version: 1\napis:\n  - slug: a\n    cache:\n      mode: ttl\n")
    assert source.line(("apis", 0, "cache", "ttl")) == 4
    assert source.line(("apis", 0, "name")) == 3
    assert source.problem(("apis", 0, "cache", "mode"), "is wrong") == "file:5: apis[0].cache.mode: is wrong"


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (b"", 1, "empty"),
        (b"version: 1\napis: [", 2, "not YAML"),
        (b"version: 1\nversion: 1", 2, "twice"),
        (b"a: \xff", 1, "UTF-8"),
        (b"version: 1\na: !!python/object:os.system x", 2, "no meaning"),
        (b"? [a, b]\n: 1", 1, "plain text"),
        (b"version: 1\na: &x [*x]", 2, "contains itself"),
        (b"n: 123456789012345678901234567890", 1, "too large"),
        (b"n: 1.0e999", 1, "too large"),
        (b"[" * 5000, 1, "nested too deeply"),
    ],
)
def test_what_is_no_file_is_refused_with_its_line(text, line, word):
    with pytest.raises(FileError) as refusal:
        read_text(text)
    assert refusal.value.problems[0].startswith(f"file:{line}: ")
    assert word in refusal.value.problems[0]


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr("apps.declarative.reader.MOST_VALUES", 100_000)
    bomb = b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b", ".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
    )
    with pytest.raises(FileError, match="too many values"):
        read_text(bomb)


def test_an_oversized_file_is_refused_unread(monkeypatch):
    monkeypatch.setattr("apps.declarative.reader.LARGEST_FILE", 10)
    with pytest.raises(FileError, match="larger than"):
        read_text(b"version: 1  # long")
