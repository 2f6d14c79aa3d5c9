"""Importing a document while others are being checked."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from apps.catalog.models import API
from apps.catalog.openapi import reader_process
from tests.support.cast import make_api

DOCUMENT = b'{"openapi": "3.1.0", "info": {"title": "Shop", "version": "1"}, "paths": {}}'


@pytest.fixture
def busy(monkeypatch):
    """Documents of other tenants are being read, as many as may be."""
    monkeypatch.setattr(reader_process, "_reading", {f"other-{number}" for number in range(reader_process.AT_ONCE)})


def test_rest_answers_503_and_says_when_to_come_again(busy, cast, calls_as):
    make_api(cast.platform)
    refused = calls_as(cast.olga).post("/api/v1/apis/products/import/", DOCUMENT)
    assert refused.status_code == 503
    assert refused.json()["detail"] == "Other documents are being checked just now: try again in a minute."
    assert refused["Retry-After"]


def test_the_console_says_it_above_the_form(busy, cast, client):
    make_api(cast.platform)
    client.force_login(cast.olga)
    upload = {"document": SimpleUploadedFile("a.json", DOCUMENT)}
    page = client.post(reverse("console:api_import", args=["products"]), upload)
    assert "Other documents are being checked just now" in page.content.decode()


FAULTY = b"openapi: 3.0.3\ninfo: {title: Shop}\npaths:\n  /items: {get: {responses: {200: {description: fine}}}}\n"
WARNING = {"message": '"version" is a required property.', "pointer": "#/info", "line": 2, "column": 1}


def test_rest_answers_with_what_is_wrong_in_a_document_that_it_took(cast, calls_as):
    make_api(cast.platform)
    imported = calls_as(cast.olga).post("/api/v1/apis/products/import/", FAULTY, content_type="application/yaml").json()
    assert (imported["operations"], imported["warnings"]) == (1, [WARNING])


def test_rest_names_the_place_that_refuses_a_document(cast, calls_as):
    make_api(cast.platform)
    broken = FAULTY.replace(b"/items", b"items")
    refused = calls_as(cast.olga).post("/api/v1/apis/products/import/", broken, content_type="application/yaml")
    assert refused.status_code == 400
    assert "A path starts with a slash (line 4, column 3, #/paths/items)." in refused.content.decode()


def test_the_console_lists_the_warnings_of_an_import(cast, client):
    make_api(cast.platform)
    client.force_login(cast.olga)
    upload = {"document": SimpleUploadedFile("a.yaml", FAULTY)}
    client.post(reverse("console:api_import", args=["products"]), upload)
    page = client.get(reverse("console:api_operations", args=["products"])).content.decode()
    assert "1 warning about the document" in page
    assert "Line 2, column 1 · <code>#/info</code>" in page


def test_the_console_says_that_a_document_is_being_checked(cast, client):
    make_api(cast.platform)
    client.force_login(cast.olga)
    page = client.get(reverse("console:api_import", args=["products"])).content.decode()
    assert 'data-busy="Reading and checking the document"' in page


@pytest.mark.parametrize(
    ("title", "free", "told"),
    [
        ("商品情報", "api-1", "No short name can be made of this name"),
        ("Import", "import-2", "is a word of addresses"),
        ("Products", "products-2", "makes this document a new revision of it"),
    ],
)
def test_a_title_that_makes_no_short_name_is_offered_one(cast, client, title, free, told):
    make_api(cast.platform)
    client.force_login(cast.olga)

    def sent(**typed: str):
        upload = SimpleUploadedFile("a.json", DOCUMENT.replace(b"Shop", title.encode()))
        return client.post(reverse("console:api_import_new"), {"document": upload, "tenant": "platform"} | typed)

    asked = sent()
    assert asked.status_code == 422
    assert asked.context["form"]["slug"].value() == free
    assert told in asked.content.decode()
    assert sent(slug=free).status_code == 302
    assert API.objects.get(slug=free).name == title
