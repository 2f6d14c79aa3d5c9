"""GraphQL operations in one form: the GraphQL specification §2 (documents, ignored tokens), GraphQL over HTTP §5."""

import json
from urllib.parse import quote

import pytest

from apps.gateway.pipeline import graphql
from apps.httpcache import Reason
from apps.httpcache.normalise import normalise_target

JSON = ((b"content-type", b"application/json"),)


def form(text="{ a }", headers=JSON, **members):
    return graphql.form_of(headers, json.dumps({"query": text, **members}).encode())


@pytest.mark.parametrize(
    "text",
    ["query { a(x: 1) b }", "{a(x:1),b}", "{\n  a(x: 1)  # first\n  b\n}", "\ufeff{ a ( x : 1 ) , b }"],
)
def test_texts_that_ask_the_same_have_one_form(text):
    assert form(text) == form("{ a(x: 1) b }") != form("{ b a(x: 1) }")


def test_variables_count_and_their_order_does_not():
    one = form(variables={"a": 1, "b": [True]}, operationName=None)
    assert one == form(variables={"b": [True], "a": 1.0})
    assert one != form(variables={"a": 2, "b": [True]})
    assert form(variables=None) == form() != form(variables={})


def test_everything_else_in_the_body_counts_too():
    named = "query A { a }"
    found = {form(named), form(named, operationName="A"), form(named, extensions={"x": 1}), form(named, other=1)}
    assert len(found) == 4


def test_two_operations_go_by_the_one_that_is_named():
    text = "query A { a } mutation B { b } subscription C { c }"
    assert isinstance(form(text, operationName="A"), bytes)
    assert form(text, operationName="B") is Reason.GRAPHQL_MUTATION
    assert form(text, operationName="C") is Reason.GRAPHQL_SUBSCRIPTION
    assert form("query A { a } query B { b }", operationName="A") != form(
        "query A { a } query B { b }", operationName="B"
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"query": "mutation { a }"}, Reason.GRAPHQL_MUTATION),
        ({"query": "subscription { a }"}, Reason.GRAPHQL_SUBSCRIPTION),
        ({"query": "query A { a } mutation B { b }"}, Reason.GRAPHQL_MUTATION),
        ({"query": "query A { a } mutation B { b }", "operationName": "C"}, Reason.GRAPHQL_MUTATION),
        ({"query": "query A { a } query B { b }"}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "query A { a }", "operationName": "B"}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "query A { a }", "operationName": 1}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "query A { a } query A { b }", "operationName": "A"}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "{ a"}, Reason.GRAPHQL_UNREADABLE),
        ({"query": ""}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "fragment F on A { a }"}, Reason.GRAPHQL_UNREADABLE),
        ({"query": 1}, Reason.GRAPHQL_UNREADABLE),
        ({"query": ["{ a }"]}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "{ a }", "variables": {"n": 2**53 + 1}}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "{" + "a " * graphql.MAX_TOKENS + "}"}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "{ a } #" + "x" * graphql.MAX_TEXT}, Reason.GRAPHQL_UNREADABLE),
        ({"query": "{a" * 1500 + "}" * 1500}, Reason.GRAPHQL_UNREADABLE),
        ({}, Reason.GRAPHQL_UNREADABLE),
        ({"variables": {}}, Reason.GRAPHQL_UNREADABLE),
        ({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}}, Reason.GRAPHQL_PERSISTED),
        ({"query": None, "documentId": "ab"}, Reason.GRAPHQL_PERSISTED),
        ([{"query": "{ a }"}], Reason.GRAPHQL_BATCH),
        ("{ a }", Reason.GRAPHQL_UNREADABLE),
    ],
)
def test_what_is_not_one_query_operation_says_why(body, reason):
    assert graphql.form_of(JSON, json.dumps(body).encode()) is reason


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b'{"query":"{ a }","query":"mutation { b }"}'),
        (JSON, b"\xff"),
        ((), b'{"query":"{ a }"}'),
        (((b"content-type", b"application/graphql"),), b"{ a }"),
        ((*JSON, (b"content-encoding", b"gzip")), b'{"query":"{ a }"}'),
    ],
)
def test_what_two_readers_may_read_in_two_ways_has_no_form(headers, body):
    assert graphql.form_of(headers, body) is Reason.GRAPHQL_UNREADABLE


def test_a_text_is_parsed_once():
    text = "{ parsed_once }"
    before = len(graphql._read)
    form(text), form(text, variables={"a": 1})
    assert len(graphql._read) == before + 1
    assert graphql._read(text) is graphql._read(text)


def test_the_text_in_a_url_has_one_form_that_is_a_normal_query():
    one, other = (graphql.in_query(f"a=1&query={quote(text)}".encode()) for text in ("{ a b }", "query{a,b}"))
    assert one == other
    assert normalise_target(b"/?" + one).query == one
    assert graphql.in_query(b"query=%7Ba+b%7D") == graphql.in_query(b"query=%7Ba%20b%7D")


def test_a_url_that_names_a_mutation_says_so():
    assert graphql.in_query(f"query={quote('mutation { a }')}".encode()) is Reason.GRAPHQL_MUTATION
    both = quote("query A { a } mutation B { b }")
    assert graphql.in_query(f"query={both}&operationName=B".encode()) is Reason.GRAPHQL_MUTATION
    assert isinstance(graphql.in_query(f"query={both}&operationName=A".encode()), bytes)


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"a=1",
        b"query=%7B",
        b"query=%FF",
        b"query=%7Ba%7D&query=%7Bb%7D",
        b"query=%7Ba%7D&operationName=A&operationName=B",
        b"queryx=%7B%20a%7D",
    ],
)
def test_a_url_without_one_readable_document_stays_as_it_is(query):
    assert graphql.in_query(query) == query


def test_what_is_too_large_to_be_parsed_is_not_remembered_either():
    before = len(graphql._read)
    assert graphql.in_query(b"query=" + b"x" * (graphql.MAX_TEXT + 1)).startswith(b"query=x")
    assert len(graphql._read) == before
