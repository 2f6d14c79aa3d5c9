"""``manage.py explain URL``: what the cache would do with a request, and why."""

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.access.models import Application
from apps.access.services.applications import application_named
from apps.explain.lookup import Explanation, explain
from apps.explain.nearest import NearestEntry
from apps.explain.typed_request import header_of
from apps.foundation.database_command import DatabaseCommand
from apps.foundation.errors import Unavailable
from apps.rest.dataclass_serializers import serializer_of
from apps.tenants.actors import PLATFORM


class Command(DatabaseCommand):
    """Nothing is called: the decision is made here, over what the shared tier holds."""

    help = (
        "Explain what the cache would do with a request: its key in parts, the decision, the nearest stored response."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The request, much as curl takes it."""
        parser.add_argument("url", metavar="URL", help="/products/items?a=1, or a whole URL of the gateway.")
        parser.add_argument("-H", "--header", action="append", default=[], metavar="'Name: value'")
        parser.add_argument("-X", "--request", metavar="METHOD", help="GET, or POST with a body.")
        parser.add_argument("-d", "--data", metavar="BODY")
        parser.add_argument("--as", dest="application", metavar="TENANT/APPLICATION", help="Who calls.")
        parser.add_argument("--json", action="store_true", help="Print it as JSON.")

    def handle(self, *args: Any, url: str, header: list[str], **options: Any) -> None:
        """Exit status: 0, or 1 where there is nothing to explain."""
        body: str | None = options["data"]
        name: str | None = options["application"]
        try:
            found = explain(
                actor=PLATFORM,
                url=url,
                method=options["request"] or ("GET" if body is None else "POST"),
                headers=[header_of(line) for line in header],
                body=body.encode() if body is not None else None,
                application=application_named(name, Application.objects.all()) if name else None,
            )
        except (ValidationError, Unavailable) as error:
            self.stderr.write(" ".join(error.messages) if isinstance(error, ValidationError) else str(error))
            raise SystemExit(1) from None
        if options["json"]:
            self.stdout.write(json.dumps(serializer_of(Explanation)(found).data, indent=2))
        else:
            self.stdout.write("\n".join(lines_of(found, timezone.now())))


def lines_of(found: Explanation, now: datetime) -> Iterable[str]:
    """An explanation as text."""
    yield f"{found.method} {found.url}"
    yield f"{found.result} ({found.reason}): {found.sentence}"
    for label, value in (
        ("api", found.api),
        ("caller", found.application),
        ("API key", found.api_key),
        ("policy of", found.operation),
        ("forwarded", found.forwarded),
        ("key", found.key),
    ):
        if value:
            yield f"  {label:<16} {value}"
    if found.parts:
        yield "The key's parts:"
        yield from (f"  {part.label:<16} {part.value or '(none)'}" for part in found.parts)
    if found.stored is not None:
        yield f"Stored under this key: {_said(found.stored, now)}"
    if found.nearest is not None:
        yield f"The nearest other stored response: {_said(found.nearest.stored, now)}"
        yield "It differs in:"
        for each in found.nearest.differences:
            yield f"  {each.label:<16} {each.wanted or '(empty)'} ≠ {each.stored or '(empty)'}"
        if found.nearest.others:
            yield f"More are stored under this path: {found.nearest.others}."


def _said(stored: NearestEntry, now: datetime) -> str:
    whose = f"{stored.holder}'s own" if stored.holder else stored.scope
    left, age = stored.fresh_until - now, now - stored.stored_at
    until = f"fresh for {left.total_seconds():.0f} s" if stored.state == "fresh" else stored.state
    return f"{stored.status}, {stored.size} bytes, {until}, stored {age.total_seconds():.0f} s ago, {whose} ({stored.rule})"
