"""An API whose listen path has no slash at its end: all that goes from URLs to paths and back agrees with the gateways."""

import pytest

from apps.catalog.models import API
from apps.console.call_examples import gateway_address
from apps.explain.head_stages import StoredConfig
from apps.fleet.compile import compile_policy
from apps.httpcache import tag_of_path
from apps.purging.services import tags_meant
from apps.warming.targets import Targets
from tests.support.cast import make_api, make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> API:
    platform = make_tenant("platform")
    make_api(platform, "other", listen_path="/graphs/")
    return make_api(platform, "graph", listen_path="/graph")


@pytest.mark.parametrize(
    ("path", "at"), [("/", "/graph"), ("", "/graph"), ("/x", "/graph/x"), ("/x/", "/graph/x/"), ("/?a=1", "/graph?a=1")]
)
def test_examples_and_warm_ups_call_where_the_gateway_answers(api: API, path: str, at: str):
    assert gateway_address(api, path).endswith(f":8080{at}")
    if path:
        assert [call.target for call in Targets(api).of(path)] == [at]
    assert [call.target for call in Targets(api).of(at)] == [at]


@pytest.mark.parametrize("elsewhere", ["http://127.0.0.1:8080/graph/", "http://127.0.0.1:8080/graphs/x"])
def test_what_the_gateway_sends_elsewhere_is_not_warmed(api: API, elsewhere: str):
    with pytest.raises(ValueError, match="reach"):
        Targets(api).of(elsewhere)


def test_explanations_find_it(api: API):
    paths = (b"/graph", b"/graph/x", b"/graph/", b"/graphs", b"/graphql")
    found = [StoredConfig().route(b"localhost", path) for path in paths]
    assert [each and each.slug for each in found] == ["graph", "graph", "graph", "other", None]


@pytest.mark.parametrize("value", ["/graph", "/", "http://127.0.0.1:8080/graph"])
def test_a_purge_of_its_path_means_the_endpoint(api: API, value: str):
    assert tag_of_path("graph", b"/") in tags_meant(api, "path", value)


def test_another_host_header_ends_what_was_stored_and_the_usual_one_does_not(api: API):
    before = compile_policy(api, api.cache_policy).group
    api.host_header = "preserve"
    assert compile_policy(api, api.cache_policy).group != before
