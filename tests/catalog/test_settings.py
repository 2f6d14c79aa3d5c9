"""A setting of an API is declared once: whatever goes by the declarations knows every one of them."""

import pytest

from apps.catalog.api.serializers import CATALOGUE, APISerializer
from apps.catalog.document import configuration, read_document
from apps.catalog.models import API, SETTINGS
from apps.catalog.settings import HEADER_RULES, Tab
from apps.console.forms.apis import DocumentationForm, SettingsForm, TrafficForm
from apps.wire import snapshot
from tests.support.cast import make_api, make_tenant

KEPT_FROM_GATEWAYS = {"name", "summary", "documentation", "tags", "approval", "plans", "automatic_plans"}
"""What says nothing of how a call is handled."""

SENT_OTHERWISE = {
    *("concurrent_calls", "queued_calls", "queue_wait", "credential_headers"),
    *("validate_requests", "validate_responses", "report_injections"),
    *("json_bytes", "json_depth", "json_names", "json_items", "json_text"),
}
"""In ``Concurrency`` and ``Validation``, and in the policies."""

FORMS = {Tab.SETTINGS: SettingsForm, Tab.TRAFFIC: TrafficForm, Tab.DOCUMENTATION: DocumentationForm}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_stands_in_the_schema_and_in_the_form_of_its_tab(name):
    setting = SETTINGS[name]
    head, dot, word = setting.path.partition(".")
    field = APISerializer().fields[head]
    assert not dot or word in field.fields
    fields = FORMS[setting.group].base_fields
    if setting.kind is HEADER_RULES:
        assert {f"set_{name}", f"remove_{name}"} <= fields.keys()
    else:
        assert {"body_limit": "body_mib", "jwt": "token_issuers"}.get(name, name) in fields


@pytest.mark.parametrize("name", SETTINGS)
def test_gateways_get_it_or_have_no_use_for_it(name):
    assert (name in snapshot.API.__struct_fields__) != (name in KEPT_FROM_GATEWAYS | SENT_OTHERWISE)


@pytest.mark.django_db
def test_the_document_of_an_api_says_every_setting_and_is_read_back():
    api = make_api(make_tenant("acme"), "products")
    fields = read_document(configuration(api)).fields
    assert {name: getattr(api, name) for name in SETTINGS} == fields


def test_what_an_api_does_not_have_is_refused_by_name():
    with pytest.raises(TypeError, match="listen_paht"):
        API().put({"listen_paht": "/x/"})


def test_the_catalogue_shows_what_is_declared_for_it():
    assert {name for name in SETTINGS if SETTINGS[name].in_catalogue} == CATALOGUE & SETTINGS.keys()
    assert "request_headers" not in CATALOGUE
