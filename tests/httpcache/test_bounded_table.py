"""What is remembered of strangers' calls must not fill a cache (RFC 9111 §7): bounded in bytes, whatever they send."""

from apps.httpcache.bounded_table import Recent, remembered


def test_a_recent_table_is_bounded_in_bytes_and_keeps_what_is_used():
    table: Recent[str, int] = Recent(1000, lambda key, value: 100)
    table.put("used", 1)
    for number in range(1000):
        table.put(str(number), number)
        assert table.get("used") == 1
        assert len(table) <= 10
    assert table.get("0") is None
    assert len(list(table.values())) == len(table)
    table.drop("used")
    assert table.get("used") is None
    table.clear()
    assert len(table) == 0


def test_a_recent_table_keeps_nothing_that_is_too_large_for_it():
    table: Recent[str, bytes] = Recent(1000, lambda key, value: len(value))
    table.put("small", b"x" * 400)
    table.put("large", b"x" * 501)
    assert (table.get("small"), table.get("large")) == (b"x" * 400, None)
    table.put("small", b"x" * 500)
    table.put("small", b"x" * 500)
    assert len(table) == 1
    table.put("small", b"x" * 501)
    assert table.get("small") is None


def test_what_is_remembered_is_made_once_and_bounded_in_bytes():
    made = []

    @remembered(1000, lambda argument, found: len(argument))
    def twice(argument: str) -> str | None:
        made.append(argument)
        return argument * 2 if argument else None

    assert [twice("a" * 100) for _ in range(3)] == ["a" * 200] * 3
    assert [twice("") for _ in range(3)] == [None] * 3
    assert made == ["a" * 100, ""]
    for number in range(100):
        twice(f"{number:0100}")
    assert len(twice) <= 10
    twice("a" * 501)
    twice("a" * 501)
    assert made.count("a" * 501) == 2
    twice.cache_clear()
    assert len(twice) == 0
