"""Reads a document in this process. Only a process of its own does that for users: ``reader_process``."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from django.core.exceptions import ValidationError

from apps.catalog.openapi.checking import faults, schema_of
from apps.catalog.openapi.contract import contract_of
from apps.catalog.openapi.describing import Description, describe
from apps.catalog.openapi.findings import DocumentRefused, Finding, Place
from apps.catalog.openapi.loading import decode, load
from apps.catalog.openapi.positions import positions

MOST_WARNINGS = 100
"""That are told and kept: who has more of them mends the first ones first."""


def read(content: bytes) -> Description:
    """The document in ``content``, JSON or YAML. Raises ``ValidationError`` on the field ``document``, naming the place."""
    try:
        return understood(content)
    except DocumentRefused as refusal:
        raise ValidationError({"document": [str(refusal.finding)]}) from None


def understood(content: bytes) -> Description:
    """The same. Raises ``DocumentRefused`` with the place in the text."""
    text = decode(content)
    try:
        document = load(text)
        schema = schema_of(document)
        description, left_out = describe(document)
    except DocumentRefused as refusal:
        found = refusal.finding
        if found.place and found.line is None:
            [found] = _located(text, [found])
        raise DocumentRefused(found.message, found.place, found.line, found.column) from None
    description.contract, unchecked = contract_of(document, schema, description.operations)
    findings = _first_of_each_place(chain(left_out, faults(document, schema), unchecked), MOST_WARNINGS + 1)
    description.warnings = [finding.as_json() for finding in _located(text, findings[:MOST_WARNINGS])]
    if len(findings) > MOST_WARNINGS:
        more = Finding(
            f"More than these {MOST_WARNINGS} places are not as OpenAPI has them: the others are not listed."
        )
        description.warnings.append(more.as_json())
    return description


def _first_of_each_place(findings: Iterable[Finding], at_most: int) -> list[Finding]:
    """What is left out for a fault is told once, as that. ``findings`` are looked for until there are enough: each takes time."""
    first: dict[Place, Finding] = {}
    for finding in findings:
        first.setdefault(finding.place, finding)
        if len(first) == at_most:
            break
    return list(first.values())


def _located(text: str, findings: list[Finding]) -> list[Finding]:
    where = positions(text, [finding.place for finding in findings])
    return [replace(each, line=where[each.place][0], column=where[each.place][1]) for each in findings]
