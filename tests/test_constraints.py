"""What models promise of a row, the database keeps too."""

import uuid
from typing import Any

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from apps.access.models import AccessRequest, Application, Credential, RequestComment, Subscription
from apps.catalog.models import API, HostName
from apps.invalidation.models import CDN, PurgeWebhook
from apps.warming.models import WarmUp

NOW = timezone.now()
MODELS = [model for model in apps.get_models() if model.__module__.startswith("apps.")]
WITH_CHOICES = [(model, field) for model in MODELS for field in model._meta.concrete_fields if field.choices]

VIOLATIONS: dict[str, dict[str, Any]] = {
    "epoch_is_one_row": {"id": 2},
    "ingestion_is_one_row": {"id": 2},
    "installation_egress_is_one_row": {"id": 2},
    "interval_ends_after_its_start": {"first": 5, "last": 4},
    "plan_rate_period_is_positive": {"rate_period": 0},
    "access_plan_is_not_negative": {"trust_lease": -0.5},
    "access_credential_revoked_at_goes_with_its_state": {"state": "revoked"},
    "access_issuer_is_not_negative": {"leeway": -1},
    "access_revocation_not_before_goes_with_its_state": {"not_before": NOW},
    "access_introspection_is_not_negative": {"negative_cache": -1},
    "access_accessrequest_decided_at_goes_with_its_state": {"state": "approved", "submitted_at": NOW},
    "request_was_submitted": {"state": "submitted"},
    "caching_cachepolicy_is_not_negative": {"ttl": -1},
    "catalog_api_is_not_negative": {"queue_wait": -1},
    "catalog_hostname_proved_at_goes_with_its_state": {"state": "proved"},
    "warming_warmup_ended_at_goes_with_its_state": {"state": "done"},
}
"""Of every check constraint that isn't about choices: values that it refuses."""


def checks():
    for model in MODELS:
        for constraint in model._meta.constraints:
            if isinstance(constraint, models.CheckConstraint):
                yield model, constraint.name


def row_of(model: Any, **given: Any) -> Any:
    """A saved row of any model, with no more than what has to be in it."""
    values = {}
    for field in model._meta.concrete_fields:
        if field.name in given or field.has_default() or field.null or getattr(field, "auto_now_add", False):
            continue
        if isinstance(field, models.ForeignKey):
            values[field.name] = row_of(field.related_model)
        elif field.choices:
            values[field.name] = field.choices[0][0]
        elif isinstance(field, models.UUIDField):
            values[field.name] = uuid.uuid4()
        elif isinstance(field, models.DateTimeField):
            values[field.name] = NOW
        elif isinstance(field, models.IntegerField | models.FloatField) and not field.primary_key:
            values[field.name] = 1
        elif isinstance(field, models.BinaryField):
            values[field.name] = b""
        elif isinstance(field, models.EmailField):
            values[field.name] = f"{uuid.uuid4().hex}@acme.test"
        elif isinstance(field, models.CharField | models.TextField):
            values[field.name] = uuid.uuid4().hex[: field.max_length]
        elif isinstance(field, models.JSONField) or field.get_internal_type() == "TextField":
            values[field.name] = {}
    return model.objects.create(**values, **given)


def the_row_of(model: Any) -> Any:
    """The one row of a model that has one, or a new one."""
    is_single = any(check.name.endswith("_is_one_row") for check in model._meta.constraints)
    return (model.objects.first() or row_of(model, id=1)) if is_single else row_of(model)


def refuses(row: Any, **values: Any) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        type(row).objects.filter(pk=row.pk).update(**values)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("model", "field"), WITH_CHOICES, ids=lambda each: getattr(each, "__name__", None) or each.name
)
def test_the_database_refuses_what_is_none_of_a_fields_choices_and_takes_each_of_them(model, field):
    name = f"{model._meta.app_label}_{model._meta.model_name}_{field.name}_is_known"
    constraint = next((each for each in model._meta.constraints if each.name == name), None)
    assert constraint is not None, f"{name} is missing: known({field.name!r}, …)"
    allowed = dict(constraint.condition.children)[f"{field.name}__in"]
    assert {*allowed} - {""} == {value for value, _ in field.choices}
    refuses(row_of(model), **{field.name: 7 if isinstance(field, models.IntegerField) else "x"})


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "name"), [each for each in checks() if not each[1].endswith("_is_known")])
def test_the_database_refuses_what_a_check_forbids(model, name):
    row = the_row_of(model)
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        model.objects.filter(pk=row.pk).update(**VIOLATIONS[name])


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS)
def test_the_database_refuses_numbers_below_zero_where_a_field_promises_none(model):
    row = the_row_of(model)
    for field in model._meta.concrete_fields:
        if "Positive" in field.get_internal_type():
            refuses(row, **{field.name: -1})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("state", "moment", "row"),
    [
        ("active", "revoked_at", Credential),
        ("draft", "decided_at", AccessRequest),
        ("pending", "proved_at", HostName),
        ("queued", "ended_at", WarmUp),
    ],
)
def test_a_moment_is_refused_without_the_state_that_it_belongs_to(state, moment, row):
    refuses(row_of(row, state=state), **{moment: NOW})


@pytest.mark.django_db
def test_a_request_is_decided_once():
    request = row_of(AccessRequest)
    RequestComment.objects.create(request=request, verb="approve")
    RequestComment.objects.create(request=request, verb="ask")
    with pytest.raises(IntegrityError), transaction.atomic():
        RequestComment.objects.create(request=request, verb="reject")


# The upgrade


BEFORE = [
    ("access", "0002_key_apis"),
    ("analytics", "0002_call_names_its_cache_key"),
    ("caching", "0004_purges_of_holders"),
    ("catalog", "0004_host_names"),
    ("invalidation", "0001_initial"),
    ("tenants", "0005_invitations"),
    ("warming", "0001_initial"),
]


RENAMED = {"access.Credential": "access.APIKey"}
"""What models were called before."""


def models_of_the_database() -> dict[type[models.Model], Any]:
    """Each model as the migrations that are applied now have it, without the columns of later ones."""
    loader = MigrationExecutor(connection).loader
    state = loader.project_state([node for node in loader.applied_migrations if node in loader.graph.nodes]).apps
    known = {model._meta.label: model for model in state.get_models()}
    names = {model: RENAMED.get(model._meta.label, model._meta.label) for model in MODELS}
    return {model: known[name] for model, name in names.items() if name in known}


@pytest.mark.django_db(transaction=True)
def test_an_upgrade_mends_what_the_constraints_would_refuse():
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    MigrationExecutor(connection).migrate(BEFORE)
    old = models_of_the_database()
    mended = []
    try:
        for model, field in WITH_CHOICES:
            if not hasattr(old.get(model), field.name):  # it came with its constraints
                continue
            row = row_of(old[model])
            type(row).objects.filter(pk=row.pk).update(
                **{field.name: 7 if isinstance(field, models.IntegerField) else "x"}
            )
            mended.append((model, row.pk))
        for model, name in checks():
            if name in VIOLATIONS and "_one_row" not in name and model in old:
                row = row_of(old[model])
                type(row).objects.filter(pk=row.pk).update(**VIOLATIONS[name])
                mended.append((model, row.pk))
        revoked = row_of(old[Credential])
        type(revoked).objects.filter(pk=revoked.pk).update(revoked_at=NOW)
        request = row_of(old[AccessRequest])
        for verb in ("approve", "reject"):
            old[RequestComment].objects.create(request=request, verb=verb)
        MigrationExecutor(connection).migrate(newest)
        lost = {model.__name__ for model, pk in mended if not model.objects.filter(pk=pk).exists()}
        assert lost == {"RollUp"}
        assert Credential.objects.get(pk=revoked.pk).state == "revoked"
        of_request = RequestComment.objects.filter(request_id=request.pk).order_by("id")
        assert list(of_request.values_list("verb", flat=True)) == ["ask", "reject"]
        for row in Credential.objects.filter(pk__in=[pk for model, pk in mended if model is Credential]):
            assert (row.state, row.revoked_at is not None) == ("revoked", True)
    finally:
        MigrationExecutor(connection).migrate(newest)
        for model in (RequestComment, AccessRequest, Credential, Subscription, Application, CDN, PurgeWebhook, API):
            model.objects.all().delete()
