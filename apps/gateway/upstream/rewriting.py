"""Which path an upstream gets in place of the call's, by an API's rules. Whole segments are compared, as they are written."""

from collections.abc import Sequence

from apps.wire.snapshot import Rewrite


def rewritten(rules: Sequence[Rewrite], path: bytes) -> bytes:
    """``path`` by the first rule that it falls under; as it is, where there is none. One comparison per rule and segment."""
    segments = path.decode("latin-1")[1:].split("/")
    for rule in rules:
        wanted = rule.segments
        count = len(wanted)
        if (len(segments) < count if rule.rest else len(segments) != count) or not all(
            segment if each is None else segment == each for each, segment in zip(wanted, segments, strict=False)
        ):
            continue
        made = [each if isinstance(each, str) else segments[each] for each in rule.to]
        if rule.passes_rest:
            made += segments[count:]
        return f"/{'/'.join(made)}".encode("latin-1")
    return path
