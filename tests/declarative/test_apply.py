"""``apply`` and ``export``: the platform becomes what the file says, twice is once, and a bad file changes nothing."""

import pytest
import yaml
from django.conf import settings

from apps.access.choices import KeyState, SubscriptionState
from apps.access.models import Application, Credential, Plan, Subscription
from apps.audit.models import Entry
from apps.catalog.choices import APIState
from apps.catalog.models import API, OpenAPIDocument
from apps.declarative.applying import apply
from apps.declarative.exporting import as_yaml, export
from apps.declarative.reader import FileError, read_text
from apps.tenants.models import Membership, Tenant, User
from apps.wire.api_keys import digest

pytestmark = pytest.mark.django_db

EXAMPLE = (settings.BASE_DIR / "docs" / "examples" / "apimgr.yaml").read_text()


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("ANN_PASSWORD", "correct horse battery")
    monkeypatch.setenv("BOT_KEY", "a-key-of-another-form-0001")


def applied(text, **options):
    return apply(read_text(text.encode()), **options)


def refusal_of(text, **options):
    with pytest.raises(FileError) as refused:
        applied(text, **options)
    return refused.value.problems


def test_the_documented_example_makes_the_whole_platform():
    lines = applied(EXAMPLE)
    assert lines == [
        "+ tenant platform",
        "+ tenant acme",
        "+ user ann@acme.test",
        "+ membership ann@acme.test of acme: owner",
        "+ plan standard",
        "+ api products",
        "+ application acme/bot",
        "+ key acme/bot/ci",
        "+ subscription acme/bot → products",
    ]
    api = API.objects.get(slug="products")
    assert (api.state, api.retries, api.cache_policy.stale_if_error) == (APIState.PUBLISHED, 1, 600.0)
    assert User.objects.get(email="ann@acme.test").check_password("correct horse battery")
    assert Credential.objects.get().digest == digest(settings.KEY_PEPPER, "a-key-of-another-form-0001")
    assert Subscription.objects.get().state == SubscriptionState.ACTIVE
    assert Plan.objects.get().rate_calls == 100


def test_applied_again_the_same_file_changes_nothing_and_writes_nothing():
    applied(EXAMPLE)
    entries = Entry.objects.count()
    assert applied(EXAMPLE) == []
    assert Entry.objects.count() == entries


def test_a_dry_run_promises_what_would_happen_and_changes_nothing():
    promised = applied(EXAMPLE, dry_run=True)
    assert not Tenant.objects.exists()
    assert not Entry.objects.exists()
    assert promised == applied(EXAMPLE)


def test_a_changed_value_is_one_line_that_says_from_what_to_what():
    applied(EXAMPLE)
    lines = applied(EXAMPLE.replace("ttl: 60s", "ttl: 90s").replace("rate_limit: 100/s", "rate_limit: 50/s"))
    assert lines == ["~ plan standard: rate_limit 100/s → 50/s", "~ api products: cache.ttl 60s → 90s"]


def test_lists_that_the_file_does_not_have_are_left_alone_with_prune_too():
    applied(EXAMPLE)
    assert applied("version: 1\ntenants: [{slug: platform}, {slug: acme}]", prune=True) == []
    assert API.objects.exists()


def test_what_the_lists_do_not_name_goes_only_with_prune():
    applied(EXAMPLE)
    without = EXAMPLE.split("applications:")[0] + "applications: []\nsubscriptions: []\n"
    assert applied(without) == []
    assert applied(without, prune=True) == [
        "- subscription acme/bot → products",
        "- application acme/bot",
    ]
    assert not Application.objects.exists()


def test_prune_never_locks_an_administrator_out():
    ada = User.objects.create_user("ada@platform.test", is_administrator=True)
    bob = User.objects.create_user("bob@platform.test")
    assert applied("version: 1\nusers: []", prune=True) == ["- user bob@platform.test"]
    ada.refresh_from_db()
    bob.refresh_from_db()
    assert (ada.is_active, bob.is_active) == (True, False)


def test_prune_takes_memberships_that_a_named_user_does_not_have_in_the_file():
    applied(EXAMPLE)
    charlie = User.objects.create_user("charlie@acme.test")
    Membership.objects.create(user=charlie, tenant=Tenant.objects.get(slug="acme"), role="viewer")
    ann = "{email: ann@acme.test, memberships: [{tenant: acme, role: owner}]}"
    text = f"version: 1\nusers:\n - {{email: charlie@acme.test}}\n - {ann}"
    assert applied(text, prune=True) == ["- membership charlie@acme.test of acme"]


def test_an_exported_file_applied_again_keeps_the_keys_and_changes_nothing():
    applied(EXAMPLE)
    exported = as_yaml(export())
    assert "a-key-of-another-form" not in exported
    assert applied(exported, prune=True) == []
    assert Credential.objects.get().state == KeyState.ACTIVE


def test_an_exported_file_makes_the_same_platform_elsewhere_but_for_the_secrets():
    applied(EXAMPLE)
    before = export()
    Subscription.objects.all().delete()
    Application.objects.all().delete()
    API.objects.all().delete()
    Plan.objects.all().delete()
    Membership.objects.all().delete()
    Tenant.objects.all().delete()
    data = yaml.safe_load(as_yaml(before))
    data["applications"][0]["keys"][0]["secret"] = "a-key-of-another-form-0001"
    applied(yaml.safe_dump(data))
    assert export() == before


def test_a_new_secret_under_the_same_name_replaces_the_key():
    applied(EXAMPLE)
    lines = applied(EXAMPLE.replace("secret_env: BOT_KEY", 'secret: "another-secret-0002-long"'))
    assert lines == ["~ key acme/bot/ci: secret"]
    assert Credential.objects.get(state=KeyState.ACTIVE).digest == digest(
        settings.KEY_PEPPER, "another-secret-0002-long"
    )


def test_a_subscription_is_suspended_resumed_and_revoked_by_its_state():
    applied(EXAMPLE)
    line = "- {application: acme/bot, api: products, plan: standard, state: active}"
    for state, moved in (
        ("suspended", "active → suspended"),
        ("active", "suspended → active"),
        ("revoked", "active → revoked"),
    ):
        lines = applied(EXAMPLE.replace(line, line.replace("state: active", f"state: {state}")))
        assert lines == [f"~ subscription acme/bot → products: state {moved}"]


def test_an_api_is_taken_from_the_gateways_and_given_back():
    applied(EXAMPLE)
    assert applied(EXAMPLE.replace("published: true", "published: false")) == ["~ api products: published true → false"]
    assert API.objects.get().state == APIState.DRAFT
    assert applied(EXAMPLE) == ["~ api products: published false → true"]


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("version: 1", "version: 2", "must be 1"),
        ("tenants:\n", "tenant:\n", "no list"),
        ("mode: origin  ", "mode: always  ", "one of"),
        ("ttl: 60s", "ttl: soon", "duration"),
        ("ttl: 60s", "tll: 60s", "Unknown word"),
        ("breaker: off", "breaker: {failures: 5, window: 10s, open: 30s}", "not available yet"),
        ("active: off", "active: on", "not available yet"),
        ("sensitivity: internal", "sensitivity: private", "one of"),
        ("authentication: [api_key]", "authentication: [something_newer]", "one of"),
        ("listen_path: /products/", "listen_path: products", "/"),
        ("http://127.0.0.1:9000/", "ftp://127.0.0.1/", "http"),
        ("http://127.0.0.1:9000/", "http://169.254.169.254/", "metadata"),
        ("rate_limit: 100/s", "rate_limit: fast", "rate"),
        ("quota: 1000000/month", "quota: 1000000/year", "quota"),
        ("role: owner", "role: king", "one of"),
        ("secret_env: BOT_KEY", "secret_env: NOT_SET", "NOT_SET is not set"),
        ("secret_env: BOT_KEY", 'secret: "short"', "16"),
        ("api: products, plan", "api: nothing, plan", "no API nothing"),
        ("plan: standard, state", "plan: gold, state", "no plan gold"),
        ("tenant: platform ", "tenant: nobody ", "no tenant nobody"),
        ("state: active", "state: sleeping", "one of"),
    ],
)
def test_a_bad_file_changes_nothing_and_names_the_line(old, new, word):
    assert old in EXAMPLE
    text = EXAMPLE.replace(old, new, 1)
    line = text[: text.index(new)].count("\n") + 1
    problems = refusal_of(text)
    assert problems[0].startswith(f"file:{line}: "), problems
    assert word.lower() in problems[0].lower(), problems
    assert not Tenant.objects.exists()
    assert not Entry.objects.exists()


def test_every_problem_of_an_entry_is_told_at_once():
    text = EXAMPLE.replace("ttl: 60s", "ttl: soon").replace("retries: 1 ", "retries: many ")
    assert len(refusal_of(text)) == 2


def test_one_object_twice_in_the_file_is_refused():
    assert "twice" in refusal_of("version: 1\ntenants: [{slug: a}, {slug: a}]")[0]


def test_a_key_without_a_secret_must_exist():
    text = EXAMPLE.replace(", secret_env: BOT_KEY", "")
    assert "secret_env" in refusal_of(text)[0]


def test_the_secret_of_another_key_is_refused():
    applied(EXAMPLE)
    more = "version: 1\napplications: [{tenant: acme, slug: other, keys: [{name: x, secret_env: BOT_KEY}]}]"
    assert "used before" in refusal_of(more)[0]


def test_an_api_cannot_change_its_owner():
    applied(EXAMPLE)
    assert "owner" in refusal_of(EXAMPLE.replace("tenant: platform ", "tenant: acme "))[0]


def test_what_cannot_be_removed_stops_the_prune_and_changes_nothing():
    applied(EXAMPLE)
    text = "version: 1\nplans: []"
    assert "standard" in refusal_of(text, prune=True)[0]
    assert Plan.objects.exists()


def test_the_end_of_a_running_subscription_is_not_changed_silently():
    applied(EXAMPLE)
    text = EXAMPLE.replace("state: active", "state: active, expires_at: 2030-01-01T00:00:00Z")
    assert "revoke it" in refusal_of(text)[0]


def test_an_api_in_a_file_is_served_unless_the_file_says_otherwise():
    applied(EXAMPLE.replace("published: true", "deprecated: false"))
    assert API.objects.get().state == APIState.PUBLISHED


LIMITED = """
version: 1
tenants: [{slug: acme, name: Acme}]
apis:
  - {slug: one, tenant: acme, listen_path: /one/, upstreams: [{url: "http://127.0.0.1:9/"}], forward_credential: true,
     underscore_headers: [X_Region], credential_headers: [X-Badge]}
  - {slug: two, tenant: acme, listen_path: /two/, upstreams: [{url: "http://127.0.0.1:9/"}]}
applications:
  - {tenant: acme, slug: bot, keys: [{name: ci, secret_env: BOT_KEY, apis: [one]}, {name: all, secret: a-key-for-everything-1}]}
"""


def test_a_key_is_limited_to_the_apis_that_the_file_names():
    applied(LIMITED)
    assert {key.name: key.apis for key in Credential.objects.all()} == {"ci": ["one"], "all": None}
    assert applied(LIMITED) == []
    assert applied(as_yaml(export())) == []
    [line] = applied(LIMITED.replace("apis: [one]", "apis: [two, one]"))
    assert line.startswith("~ key acme/bot/ci")
    assert Credential.objects.get(name="ci").apis == ["one", "two"]
    [line] = applied(LIMITED.replace(", apis: [one]", ", apis: null"))
    assert line.startswith("~ key acme/bot/ci")
    assert Credential.objects.get(name="ci").apis is None


def test_what_the_file_says_of_headers_is_in_force_and_exported():
    applied(LIMITED)
    api = API.objects.get(slug="one")
    assert (api.forward_credential, api.underscore_headers, api.credential_headers) == (True, ["X_Region"], ["X-Badge"])
    assert {"underscore_headers": ["X_Region"], "credential_headers": ["X-Badge"]}.items() <= export()["apis"][
        0
    ].items()


@pytest.mark.parametrize(("apis", "told"), [("[three]", "three"), ("[]", "at least one"), ("one", "list")])
def test_a_key_is_not_limited_to_what_is_not_there(apis, told):
    [problem] = refusal_of(LIMITED.replace("apis: [one]", f"apis: {apis}"))
    assert told in str(problem)
    assert not Credential.objects.exists()


PLANS = """
version: 1
tenants: [{slug: platform}, {slug: acme}]
plans:
  - {slug: standard, rate_limit: 100/s}
  - {slug: deal, quota: 5000/day, tenants: [acme]}
  - {slug: boundless}
apis:
  - slug: one
    tenant: platform
    listen_path: /one/
    upstreams: [{url: "http://127.0.0.1:9000/"}]
    approval: automatic
    plans: [standard, deal]
    automatic_plans: [standard]
"""


def test_which_plans_are_offered_to_whom_is_in_force_and_exported():
    applied(PLANS)
    assert Plan.objects.get(slug="deal").tenants == ["acme"]
    api = API.objects.get(slug="one")
    assert (api.plans, api.automatic_plans) == (["standard", "deal"], ["standard"])
    text = as_yaml(export())
    assert applied(text) == []
    changed = applied(text.replace("automatic_plans:\n  - standard", "automatic_plans: []"))
    assert changed == ["~ api one: automatic_plans ['standard'] → []"]


def test_a_file_that_names_no_plans_offers_all_and_grants_those_with_a_limit():
    applied(PLANS.replace("    plans: [standard, deal]\n    automatic_plans: [standard]\n", ""))
    api = API.objects.get(slug="one")
    assert (api.approval, api.plans, api.automatic_plans) == ("automatic", [], [])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("plans: [standard, deal]", "plans: [standard, gold]", "plans: There is no plan gold"),
        ("automatic_plans: [standard]", "automatic_plans: [boundless]", "automatic_plans: This API does not offer"),
        ("tenants: [acme]", "tenants: [nobody]", "tenants: There is no tenant nobody"),
    ],
)
def test_a_plan_or_tenant_that_is_not_there_is_told_with_its_line(old, new, told):
    [problem] = refusal_of(PLANS.replace(old, new))
    assert told in problem


DESCRIBED = """version: 1
tenants: [{slug: platform}]
apis:
  - slug: pets
    tenant: platform
    listen_path: /pets/
    upstreams: [{url: "http://127.0.0.1:9000/"}]
    %s
"""
DOCUMENT = """openapi:
      openapi: 3.1.0
      info: {title: Pets, version: "1"}
      paths:
        /pets: {get: {summary: All pets, parameters: [{name: q, in: query, schema: {type: string}}]}}"""
OPERATIONS = (
    "operations: [{method: GET, path: /pets, summary: All pets}, {method: POST, path: /pets, deprecated: true}]"
)


@pytest.mark.parametrize("described", [DOCUMENT, OPERATIONS])
def test_operations_are_exported_and_are_the_same_elsewhere(described):
    assert applied(DESCRIBED % described) == ["+ tenant platform", "+ api pets"]
    exported, operations = as_yaml(export()), list(API.objects.get().operations.values("method", "path", "parameters"))
    assert applied(exported) == []
    API.objects.all().delete()
    assert applied(exported) == ["+ api pets"]
    assert as_yaml(export()) == exported
    assert list(API.objects.get().operations.values("method", "path", "parameters")) == operations


VALIDATED = "validation: {request: block, response: report, depth: 8}\n    "


def test_how_calls_are_validated_is_exported_and_the_same_elsewhere():
    applied(DESCRIBED % (VALIDATED + DOCUMENT))
    api = API.objects.get()
    assert (api.validate_requests, api.validate_responses, api.json_depth) == ("block", "report", 8)
    exported = as_yaml(export())
    assert applied(exported) == []
    [line] = applied(DESCRIBED % ("validation: {request: report}\n    " + DOCUMENT))
    assert "validation.request block → report" in line
    assert applied(exported) != []
    assert as_yaml(export()) == exported
    assert "validation.request" in refusal_of(DESCRIBED % "validation: {request: maybe}")[0]


def test_a_document_from_before_validation_is_read_anew():
    applied(DESCRIBED % DOCUMENT)
    OpenAPIDocument.objects.update(contract=[])
    applied(DESCRIBED % DOCUMENT)
    assert OpenAPIDocument.objects.get().contract


def test_a_plan_names_the_operations_that_come_and_go():
    applied(DESCRIBED % OPERATIONS)
    text = DESCRIBED % OPERATIONS.replace("POST", "PUT")
    [line] = applied(text, dry_run=True)
    assert line == (
        "~ api pets: described.POST /pets without a summary → none, described.PUT /pets none → without a summary"
    )
    assert [line] == applied(text)
    [line] = applied(DESCRIBED % DOCUMENT)
    assert "described.document none → OpenAPI 3.1.0, SHA-256" in line
    assert "described.PUT /pets without a summary → none" in line


def test_an_openapi_document_may_be_text_and_is_exported_as_such():
    applied(DESCRIBED % DOCUMENT)
    text = yaml.safe_load(as_yaml(export()))["apis"][0]["openapi"]
    assert text.splitlines()[:2] == ["{", ' "info": {']
    assert "\n  openapi: |-\n" in as_yaml(export())
    assert applied(DESCRIBED % ("openapi: " + repr(text.replace("\n", " ")))) == []


@pytest.mark.parametrize(
    ("described", "told"),
    [
        ("openapi: {openapi: 3.1.0, paths: []}", "no object paths"),
        ("openapi: 7", "Expected an OpenAPI document"),
        (OPERATIONS + "\n    openapi: {}", "leave one of the two out"),
        ("operations: [{method: GOT, path: /a}]", "One of GET"),
        ("operations: [{path: /a, what: 1}]", "Unknown word"),
        ("operations: [{method: GET, path: /a, parameters: [7]}]", "Expected an OpenAPI parameter object"),
    ],
)
def test_a_bad_description_of_operations_is_refused_on_its_line(described, told):
    problems = refusal_of(DESCRIBED % described)
    assert told in problems[0]
    assert int(problems[0].split(":")[1]) >= 8
    assert not API.objects.exists()
