"""“Try it”: what an upstream may send, and what of it the console takes."""

import shlex
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.urls import reverse

from apps.caching.models import CachePolicy
from apps.caching.warm_up import read_warm_up
from apps.catalog import services
from apps.catalog.models import API, Operation
from apps.catalog.openapi.examples import example_of
from apps.catalog.validation import METHODS
from apps.console.call_examples import curl_of
from apps.console.preview import preview
from apps.console.try_it import SHOWN, call
from apps.explain.lookup import explain
from apps.foundation.path_templates import filled, placeholders
from apps.purging.services import purge
from apps.tenants.actors import PLATFORM
from apps.warming.services import warm_up_start
from tests.console.conftest import World, errors_of
from tests.support.cast import Cast, make_api


class Sender(BaseHTTPRequestHandler):
    """Answers ``/products/endless`` without end, and everything else with a character set that there isn't."""

    sent = 0
    asked = ""
    host = ""

    def do_GET(self) -> None:
        Sender.asked, Sender.host = self.path, self.headers["host"]
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=klingon")
        self.end_headers()
        if not self.path.endswith("/endless"):
            self.wfile.write(b"hello")
            return
        try:
            while Sender.sent < 256 * SHOWN:
                self.wfile.write(b"x" * SHOWN)
                Sender.sent += SHOWN
        except OSError:  # the reader had enough
            return

    def log_message(self, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture
def gateway(settings: Any) -> Iterator[None]:
    """Stands in for the gateway, which would pass the same bytes on."""
    Sender.sent, Sender.asked, Sender.host = 0, "", ""
    with ThreadingHTTPServer(("127.0.0.1", 0), Sender) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        settings.GATEWAY_URL = f"http://127.0.0.1:{server.server_port}"
        yield
        server.shutdown()
        thread.join()


def test_an_answer_without_end_does_not_fill_the_consoles_memory(cast: Cast, gateway: None):
    trial = call(make_api(cast.acme), "GET", "endless", (), "", None)
    assert (len(trial.body), trial.note) == (SHOWN, f"The first {SHOWN // 1024} KiB.")
    assert Sender.sent < 256 * SHOWN


def test_a_character_set_that_there_is_not_is_read_as_utf8(cast: Cast, gateway: None):
    assert call(make_api(cast.acme), "GET", "hello", (), "", None).body == "hello"


# Parameters of the path


@pytest.fixture
def ada(world: World, browse: Any) -> Any:
    """Ada's browser; ``products`` describes one operation."""
    Operation.objects.create(
        api=world.api,
        method="GET",
        path="/items/{id}/parts/{part}",
        parameters=[
            {"name": "id", "in": "path", "description": "Its number.", "schema": {"type": "integer", "example": 7}},
            {"name": "part", "in": "path", "schema": {"type": "string"}},
            {"name": "part", "in": "query", "example": "of the query"},
        ],
    )
    return browse(world.people.ada)


TEMPLATE = "/items/{id}/parts/{part}?all=1"


def tried(ada: Any, world: World, **values: str) -> Any:
    sent = {"application": world.application.pk, "method": "GET", "path": TEMPLATE}
    return ada.post(reverse("console:try", args=["products"]), sent | values, headers={"HX-Request": "true"})


@pytest.mark.parametrize("method", METHODS)
def test_an_operation_is_offered_to_be_tried_where_its_method_can_be(world: World, ada: Any, method: str):
    Operation.objects.update(method=method)
    form = ada.get(reverse("console:try", args=["products"])).context["form"]
    page = ada.get(reverse("console:catalogue_entry", args=["products"])).content.decode()
    assert (f"?method={method}&amp;" in page) == (method in dict(form.fields["method"].choices))


def test_a_call_that_was_not_made_is_not_called_unsaved(world: World, ada: Any):
    page = tried(ada, world, **{"in_path:id": ""}).content.decode()
    assert "Nothing was sent: " in page
    assert "Nothing was saved" not in page


def test_each_parameter_of_a_path_is_asked_for_with_the_value_that_the_document_suggests(world: World, ada: Any):
    page = ada.get(reverse("console:try", args=["products"]), {"method": "GET", "path": TEMPLATE})
    fields = {each.label: (each.value(), each.help_text) for each in page.context["form"].parameters}
    assert fields == {"id": ("7", "Its number."), "part": ("", "")}
    assert shlex.split(page.context["curl"])[-1].endswith("/products/items/7/parts/YOUR_PART?all=1")


def test_a_parameter_without_a_value_is_an_error_beside_its_field_and_nothing_is_called(
    world: World, ada: Any, gateway: None
):
    page = tried(ada, world, **{"in_path:id": "7"})
    assert (page.status_code, Sender.asked) == (422, "")
    assert errors_of(page) == {"in_path:part": ["The path has no value for {part} yet."]}
    assert 'id="id_in_path:part_error"' in page.content.decode()


def test_a_value_is_called_as_one_segment_of_the_path(world: World, ada: Any, gateway: None):
    page = tried(ada, world, **{"in_path:id": "7", "in_path:part": "a/b {c}?"})
    assert (page.status_code, Sender.asked) == (200, "/products/items/7/parts/a%2Fb%20%7Bc%7D%3F?all=1")
    assert page.context["trial"].curl.endswith("/products/items/7/parts/a%2Fb%20%7Bc%7D%3F?all=1'")


def test_an_example_names_a_host_or_has_a_place_for_one(cast: Cast):
    api = make_api(cast.acme, hosts=["*.acme.test"])
    assert curl_of(api).endswith("http://YOUR_NAME.acme.test/products/")
    api = services.api_update(actor=PLATFORM, api=api, hosts=["*.acme.test", "shop.acme.test"])
    assert curl_of(api).endswith("http://shop.acme.test/products/")


def test_below_a_wildcard_the_call_goes_to_the_host_that_was_typed(world: World, ada: Any, gateway: None):
    assert "host" not in ada.get(reverse("console:try", args=["products"])).context["form"].fields
    services.api_update(actor=PLATFORM, api=API.objects.get(slug="products"), hosts=["*.acme.test"])
    for refused in ("", "acme.test", "a.b.acme.test", "*.acme.test", "a b.acme.test", "evil.test"):
        assert "host" in errors_of(tried(ada, world, host=refused))
    page = tried(ada, world, host="Shop.Acme.test", **{"in_path:id": "7", "in_path:part": "a"})
    assert (page.status_code, Sender.host) == (200, "shop.acme.test")
    assert "http://shop.acme.test/products/" in page.context["trial"].curl


def test_an_example_has_a_place_to_fill_in_and_curl_takes_it_for_one_url(cast: Cast):
    api = make_api(cast.acme)
    assert curl_of(api, "/items/{item-id}").endswith("/products/items/YOUR_ITEM-ID")
    assert shlex.split(curl_of(api, "/items?a[]=1"))[2] == "--globoff"


@pytest.mark.parametrize(
    ("parameter", "suggested"),
    [
        ({"example": 7, "schema": {"default": 8}}, "7"),
        ({"examples": {"one": {"$ref": "#/x"}, "two": {"value": "b"}}}, "b"),
        ({"schema": {"examples": ["c", "d"]}}, "c"),
        ({"schema": {"default": False}}, "false"),
        ({"schema": {"enum": ["open", "closed"]}}, "open"),
        ({"type": "integer", "default": 3}, "3"),
        ({"schema": {"example": {"an": "object"}}}, ""),
        ({"schema": {"$ref": "#/x"}, "examples": [], "enum": []}, ""),
    ],
)
def test_a_parameter_suggests_its_example_its_default_or_the_first_that_it_may_be(
    parameter: dict[str, Any], suggested: str
):
    assert example_of(parameter) == suggested


def test_only_a_path_has_placeholders():
    assert placeholders("/a/{b}/{c}.{b}?d={e}") == ["b", "c"]
    assert placeholders("/a/{}/{b/c}/%7Bd%7D") == []
    assert filled("/{a}{b}?{a}", {"a": "1"}) == "/1YOUR_B?{a}"


@pytest.mark.parametrize(
    "take",
    [
        lambda api: explain(actor=PLATFORM, url="/products/items/{id}"),
        lambda api: purge(actor=PLATFORM, api=api, kind="path", value="/items/{id}"),
        lambda api: purge(actor=PLATFORM, api=api, kind="prefix", value="/items/{id}"),
        lambda api: warm_up_start(actor=PLATFORM, api=api, urls=["/items/{id}"]),
        lambda api: read_warm_up({"urls": ["/items/{id}"]}),
    ],
    ids=["explain", "purge a path", "purge a prefix", "warm up", "the policy's warm-up"],
)
def test_whatever_takes_the_url_of_a_call_refuses_a_template(cast: Cast, take: Any):
    with pytest.raises(ValidationError, match=r"Put a value in place of \{id\}"):
        take(make_api(cast.acme))


def test_a_sample_of_the_policy_editor_is_no_template_either(cast: Cast):
    shown = preview(make_api(cast.acme), CachePolicy(), {"path": "/items/{id}", "method": "GET"})
    assert "Put a value in place of {id}" in shown.error
