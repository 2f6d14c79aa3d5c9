"""Makes each kind of entry true, through the services that the console and the REST API call too."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from apps.access import services as access
from apps.access.choices import LIVE, CredentialKind, KeyState, SubscriptionState
from apps.access.document import WORDS as PLAN_WORDS
from apps.access.document import PlanFields, plan_document, read_plan
from apps.access.models import Application, Credential, Plan, Subscription
from apps.catalog import services as catalog
from apps.catalog.choices import SERVED, APIState, HostMethod, HostState
from apps.catalog.document import (
    OperationFields,
    Parsed,
    described,
    in_document_words,
    read_document,
    read_operations,
    to_document,
)
from apps.catalog.field_checks import normal_host
from apps.catalog.models import API, HostName, OpenAPIDocument
from apps.catalog.validation import operations_error
from apps.declarative import entries, token_sources
from apps.declarative.credentials import bind, bounds_in, certificate, signing_key
from apps.declarative.entries import FileEntry
from apps.declarative.run import FileRun
from apps.foundation import field_names
from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.tenants.egress import administrators_rules, egress_update, tenant_egress_update
from apps.tenants.models import Membership, Tenant, User
from apps.wire.api_keys import digest


def _tenants(run: FileRun, listed: list[FileEntry]) -> None:
    for entry in listed:
        said = run.read(entry, entries.TENANT)
        slug = said["slug"]
        run.once(entry, "tenant", slug)
        tenant = Tenant.objects.filter(slug=slug).first()
        with run.blaming(entry):
            if tenant is None:
                tenants.tenant_create(actor=PLATFORM, slug=slug, name=said.get("name", slug))
                run.added("tenant", slug)
            elif "name" in said:
                before = {"name": tenant.name}
                tenants.tenant_update(actor=PLATFORM, tenant=tenant, name=said["name"])
                run.changed("tenant", slug, before, {"name": said["name"]})
        if "egress" in said:
            _tenant_egress(run, entry, slug, said["egress"]["allow"], is_new=tenant is None)
        if "hosts" in said:
            run.named.setdefault("tenants with hosts", set()).add(slug)
        for index, host in enumerate(said.get("hosts", ())):
            _tenant_host(run, FileEntry((*entry.path, "hosts", index), host), slug)


def _tenant_host(run: FileRun, entry: FileEntry, slug: str) -> None:
    name = normal_host(entry.data)
    run.once(entry, "host", name)
    held = HostName.objects.filter(host=name, tenant__slug=slug, state=HostState.PROVED).first()
    if held is not None and held.method != HostMethod.IN_USE:
        return
    with run.blaming(entry, _of_the_value):
        catalog.host_grant(actor=PLATFORM, tenant=Tenant.objects.get(slug=slug), host=name)
    if held is None:
        run.added("host", f"{name} of {slug}")
    else:
        run.changed("host", f"{name} of {slug}", {"method": held.method}, {"method": HostMethod.ADMINISTRATOR.value})


def _of_the_value(error: ValidationError) -> ValidationError:
    """What is wrong with a host stands at the host itself."""
    return ValidationError(error.messages)


def _tenant_egress(run: FileRun, entry: FileEntry, slug: str, allow: list[str], *, is_new: bool) -> None:
    tenant = Tenant.objects.get(slug=slug)
    with run.blaming(FileEntry((*entry.path, "egress"), allow)):
        before = {"egress": {"allow": list(tenant.egress)}}
        kept = tenant_egress_update(actor=PLATFORM, tenant=tenant, allow=allow)
        if not is_new:
            run.changed("tenant", slug, before, {"egress": {"allow": kept}})


def egress(run: FileRun, entry: FileEntry) -> None:
    """Where calls of all tenants may lead: before everything that may need it."""
    said = run.read(entry, entries.EGRESS)
    with run.blaming(entry):
        before = {"allow": administrators_rules()}
        run.changed("egress", "of all tenants", before, {"allow": egress_update(actor=PLATFORM, allow=said["allow"])})


def prepare_passwords(run: FileRun, listed: list[FileEntry]) -> None:
    """Hash the passwords that users don't have yet. Slow, and so before the transaction."""
    for entry in listed:
        said = run.read(entry, entries.USER)
        password = run.from_environment(entry, said.get("password_env"), "password_env")
        email = said["email"].strip().lower()
        user = User.objects.filter(email__iexact=email).first()
        if password is not None and (user is None or not user.check_password(password)):
            run.passwords[email] = tenants.HashedPassword(password)


def _users(run: FileRun, listed: list[FileEntry]) -> None:
    for entry in listed:
        said = run.read(entry, entries.USER)
        email = said["email"].strip().lower()
        run.once(entry, "user", email)
        password = run.passwords.get(email)
        fields = {
            field: said[word]
            for word, field in (("name", "name"), ("administrator", "is_administrator"))
            if word in said
        }
        user = User.objects.filter(email__iexact=email).first()
        with run.blaming(entry):
            if user is None:
                user = tenants.user_create(actor=PLATFORM, email=email, password=password, **fields)
                run.added("user", email)
            else:
                before = {name: getattr(user, name) for name in fields}
                tenants.user_update(actor=PLATFORM, user=user, **fields)
                run.changed("user", email, before, fields)
                if password is not None:
                    tenants.user_set_password(actor=PLATFORM, user=user, password=password)
                    run.lines.append(f"~ user {email}: password")
        for index, membership in enumerate(said.get("memberships", ())):
            _membership(run, FileEntry((*entry.path, "memberships", index), membership), user)


def _membership(run: FileRun, entry: FileEntry, user: User) -> None:
    slug, role = entry.data["tenant"], entry.data["role"]
    tenant = run.find(entry, "tenant", Tenant.objects.filter(slug=slug), f"tenant {slug}")
    name = f"{user.email} of {slug}"
    run.once(entry, "membership", (user.pk, tenant.pk))
    existing = Membership.objects.filter(user=user, tenant=tenant).first()
    with run.blaming(entry):
        tenants.membership_set(actor=PLATFORM, tenant=tenant, user=user, role=role)
    if existing is None:
        run.added("membership", f"{name}: {role}")
    else:
        run.changed("membership", name, {"role": existing.role}, {"role": role})


def _plans(run: FileRun, listed: list[FileEntry]) -> None:
    for entry in listed:
        slug = _slug(run, entry)
        run.once(entry, "plan", slug)
        said = run.read(entry, _read_plan)
        plan = Plan.objects.filter(slug=slug).first()
        with run.blaming(entry, in_plan_words):
            if plan is None:
                access.plan_create(actor=PLATFORM, slug=slug, **({"name": slug} | said))
                run.added("plan", slug)
            else:
                before = plan_document(plan)
                run.changed("plan", slug, before, plan_document(access.plan_update(actor=PLATFORM, plan=plan, **said)))


def _read_plan(data: Any) -> PlanFields:
    """One entry of ``plans`` without its slug."""
    return read_plan({word: value for word, value in data.items() if word != "slug"})


def prepare_documents(run: FileRun, listed: list[FileEntry]) -> None:
    """Read the OpenAPI documents that APIs don't have yet. It takes a while, and so before the transaction."""
    for entry in listed:
        if not isinstance(entry.data, dict) or "openapi" not in entry.data:
            continue
        given = entry.data["openapi"]
        with run.blaming(entry, _in_the_word_openapi):
            if "operations" in entry.data:
                raise ValidationError({"operations": "They are those of openapi: leave one of the two out."})
            if not isinstance(given, str | dict):
                raise ValidationError({"openapi": "Expected an OpenAPI document: an object, or the text of one."})
            text = given if isinstance(given, str) else json.dumps(given)
            slug = _slug(run, entry)
            read = OpenAPIDocument.objects.exclude(contract=[])  # by a version that knew no contracts: read anew
            kept = read.filter(api__slug=slug).values_list("document", flat=True).first()
            if description := catalog.openapi_read(text.encode(), kept):
                run.documents[slug] = description


def _in_the_word_openapi(error: ValidationError) -> ValidationError:
    found = field_names.by_path(error)
    return ValidationError({"openapi" if path == "document" else path: told for path, told in found.items()})


def _apis(run: FileRun, listed: list[FileEntry]) -> None:
    for entry in listed:
        slug = _slug(run, entry)
        owner, parsed, operations = run.read(entry, _read_api)
        run.once(entry, "API", slug)
        api = _served(slug)
        tenant = run.find(entry, "tenant", Tenant.objects.filter(slug=owner), f"tenant {owner}") if owner else None
        with run.blaming(entry, in_document_words):
            if api is None:
                made = _api_create(run, entry, slug, tenant, parsed, operations)
                _take_document(run, made)
                continue
            if tenant is not None and tenant != api.tenant:
                raise run.source.refuse(
                    (*entry.path, "tenant"), f"{slug} belongs to {api.tenant.slug}; its owner can't change"
                )
            before = to_document(api) | described(api)
            catalog.api_update(
                actor=PLATFORM,
                api=api,
                upstreams=parsed.upstreams,
                policy=parsed.policy,
                operations=operations,
                **parsed.fields,
            )
            _take_document(run, api)
            _move(api, parsed)
            after = _served(slug)
            if after is not None:
                run.changed("api", slug, before, to_document(after) | described(after))


def _take_document(run: FileRun, api: API) -> None:
    if (description := run.documents.get(api.slug)) is not None:
        catalog.openapi_take(actor=PLATFORM, api=api, description=description)


def _read_api(data: object) -> tuple[str | None, Parsed, list[OperationFields] | None]:
    """The owner, the settings and the operations of one entry of ``apis``."""
    if not isinstance(data, dict):
        raise ValueError("Expected an object with named fields.")
    owner = data.get("tenant")
    settings = {word: data[word] for word in data if word not in ("slug", "tenant", "operations", "openapi")}
    errors: field_names.Errors = {}
    parsed = Parsed({})
    operations: list[OperationFields] | None = None
    if "operations" in data:
        operations = field_names.attempt(errors, "operations", read_operations, data["operations"])
        errors |= operations_error(operations or ())
    try:
        parsed = read_document(settings, whole=True)
    except ValidationError as error:
        errors |= field_names.by_path(error)
    if errors:
        raise ValidationError(dict(errors))
    return owner, parsed, operations


def _api_create(
    run: FileRun,
    entry: FileEntry,
    slug: str,
    tenant: Tenant | None,
    parsed: Parsed,
    operations: list[OperationFields] | None,
) -> API:
    missing = [
        word
        for word, given in (
            ("tenant", tenant),
            ("listen_path", parsed.fields.get("listen_path")),
            ("upstreams", parsed.upstreams),
        )
        if not given
    ]
    if tenant is None or missing:
        raise run.source.refuse(entry.path, f"a new API needs {' and '.join(missing)}")
    fields: Any = {"name": slug} | parsed.fields
    api = catalog.api_create(
        actor=PLATFORM,
        tenant=tenant,
        slug=slug,
        upstreams=parsed.upstreams or [],
        policy=parsed.policy,
        operations=operations or (),
        **fields,
    )
    # Who writes an API into a file wants it served; a draft is `published: false`.
    _move(api, replace(parsed, published=parsed.published is not False))
    run.added("api", slug)
    return api


def _move(api: API, parsed: Parsed) -> None:
    """Take ``api`` to the state that the file wants, where it wants one."""
    api.refresh_from_db()
    if parsed.published and (
        api.state not in SERVED or (parsed.deprecated is False and api.state == APIState.DEPRECATED)
    ):
        catalog.api_publish(actor=PLATFORM, api=api)
    elif parsed.published is False and api.state in SERVED:
        catalog.api_unpublish(actor=PLATFORM, api=api)
    if parsed.deprecated and api.state == APIState.PUBLISHED:
        catalog.api_deprecate(actor=PLATFORM, api=api)


def _served(slug: str) -> API | None:
    return API.objects.select_related("tenant", "cache_policy").prefetch_related("upstreams").filter(slug=slug).first()


def _applications(run: FileRun, listed: list[FileEntry]) -> None:
    for entry in listed:
        said = run.read(entry, entries.APPLICATION)
        name = f"{said['tenant']}/{said['slug']}"
        run.once(entry, "application", name)
        tenant = run.find(entry, "tenant", Tenant.objects.filter(slug=said["tenant"]), f"tenant {said['tenant']}")
        application = Application.objects.filter(tenant=tenant, slug=said["slug"]).first()
        fields = {word: said[word] for word in ("name", "description") if word in said}
        with run.blaming(entry):
            if application is None:
                fields = {"name": said["slug"]} | fields
                application = access.application_create(actor=PLATFORM, tenant=tenant, slug=said["slug"], **fields)
                run.added("application", name)
            else:
                before = {word: getattr(application, word) for word in fields}
                access.application_update(actor=PLATFORM, application=application, **fields)
                run.changed("application", name, before, fields)
        for index, key in enumerate(said.get("keys", ())):
            _key(run, FileEntry((*entry.path, "keys", index), key), application, f"{name}/{key['name']}")
        for index, client in enumerate(said.get("client_ids", ())):
            token_sources.client_id(run, FileEntry((*entry.path, "client_ids", index), client), application, name)
        for index, each in enumerate(said.get("certificates", ())):
            certificate(
                run, FileEntry((*entry.path, "certificates", index), each), application, f"{name}/{each['name']}"
            )
        for index, each in enumerate(said.get("signing_keys", ())):
            path = (*entry.path, "signing_keys", index)
            signing_key(run, FileEntry(path, each), application, f"{name}/{each['key_id']}")
        for word in ("certificates", "signing_keys"):
            if word in said:
                run.named.setdefault(f"applications with {word}", set()).add(application.pk)
        if "client_ids" in said:
            run.named.setdefault("applications with client IDs", set()).add(application.pk)
        if "keys" in said:
            run.named.setdefault("applications with keys", set()).add(application.pk)


def _key(run: FileRun, entry: FileEntry, application: Application, name: str) -> None:
    said = entry.data
    secret = said.get("secret")
    if secret is not None and "secret_env" in said:
        raise run.source.refuse(entry.path, "give secret or secret_env, not both")
    secret = run.from_environment(entry, said.get("secret_env"), "secret_env") if secret is None else secret
    same_name = active_keys().filter(application=application, name=said["name"])
    if secret is None:
        if not same_name:
            raise run.source.refuse(
                entry.path, f"{name} is new: give its secret_env, the name of the variable that holds it"
            )
        for key in same_name:
            bind(run, entry, key, "key", name)
        run.named.setdefault("key", set()).update(same_name.values_list("pk", flat=True))
        return
    existing = Credential.objects.filter(digest=digest(settings.KEY_PEPPER, secret)).first()
    if existing and (existing.application_id != application.pk or existing.state != KeyState.ACTIVE or existing.api_id):
        raise run.source.refuse(
            entry.path, "this secret was used before, by another key or one that is revoked: make a new one"
        )
    if existing is None:
        with run.blaming(entry):
            replaced = list(same_name)
            existing = access.key_import(
                actor=PLATFORM,
                application=application,
                name=said["name"],
                secret=secret,
                expires_at=said.get("expires_at"),
                **bounds_in(entry),
            )
            for key in replaced:
                access.key_revoke(actor=PLATFORM, key=key, comment="Replaced by the declarative file.")
        if replaced:
            run.lines.append(f"~ key {name}: secret")
        else:
            run.added("key", name)
    else:
        bind(run, entry, existing, "key", name)
    run.named.setdefault("key", set()).add(existing.pk)


def active_keys() -> QuerySet[Credential]:
    """API keys of all applications, without the passing ones of "Try it"."""
    return Credential.objects.filter(kind=CredentialKind.API_KEY, state=KeyState.ACTIVE, api=None)


def _subscriptions(run: FileRun, listed: list[FileEntry]) -> None:
    for entry in listed:
        said = run.read(entry, entries.SUBSCRIPTION)
        tenant, slug = said["application"]
        name = f"{tenant}/{slug} → {said['api']}"
        run.once(entry, "subscription", name)
        rows = Application.objects.filter(tenant__slug=tenant, slug=slug)
        application = run.find(entry, "application", rows, f"application {tenant}/{slug}")
        api = run.find(entry, "api", API.objects.filter(slug=said["api"]), f"API {said['api']}")
        plan = run.find(entry, "plan", Plan.objects.filter(slug=said["plan"]), f"plan {said['plan']}")
        state = said.get("state", SubscriptionState.ACTIVE)
        live = _live(application, api)
        before = _subscription_document(live)
        with run.blaming(entry):
            if live is None and state == SubscriptionState.REVOKED:
                continue
            if live is None:
                live = access.subscription_create(
                    actor=PLATFORM, application=application, api=api, plan=plan, expires_at=said.get("expires_at")
                )
                run.added("subscription", name)
                before = None
            elif "expires_at" in said and said["expires_at"] != live.expires_at:
                raise run.source.refuse(
                    (*entry.path, "expires_at"), "a running subscription keeps its end: revoke it, then grant a new one"
                )
            elif live.plan_id != plan.pk:
                live = access.subscription_change_plan(actor=PLATFORM, subscription=live, plan=plan)
            _move_subscription(live, state)
        run.named.setdefault("subscription row", set()).add(live.pk)
        if before is not None:
            live.refresh_from_db()
            run.changed("subscription", name, before, _subscription_document(live) or {})


def _live(application: Application, api: API) -> Subscription | None:
    rows = Subscription.objects.select_related("plan", "application__tenant", "api")
    return rows.filter(application=application, api=api, state__in=LIVE).first()


def _subscription_document(subscription: Subscription | None) -> dict[str, Any] | None:
    return {"plan": subscription.plan.slug, "state": str(subscription.state)} if subscription else None


def _move_subscription(subscription: Subscription, state: str) -> None:
    moves: dict[tuple[str, str], Callable[..., Any]] = {
        (SubscriptionState.ACTIVE, SubscriptionState.SUSPENDED): access.subscription_suspend,
        (SubscriptionState.SUSPENDED, SubscriptionState.ACTIVE): access.subscription_resume,
        (SubscriptionState.ACTIVE, SubscriptionState.REVOKED): access.subscription_revoke,
        (SubscriptionState.SUSPENDED, SubscriptionState.REVOKED): access.subscription_revoke,
    }
    if move := moves.get((subscription.state, state)):
        move(actor=PLATFORM, subscription=subscription)


def _slug(run: FileRun, entry: FileEntry) -> str:
    slug = entry.data.get("slug") if isinstance(entry.data, dict) else None
    if not isinstance(slug, str | int) or isinstance(slug, bool) or slug == "":
        raise run.source.refuse(entry.path, "must have a slug")
    return str(slug)


def in_plan_words(error: ValidationError) -> ValidationError:
    """A service's error by field of a plan, by the file's word instead."""
    if not hasattr(error, "error_dict"):
        return error
    return ValidationError({PLAN_WORDS.get(name, name): messages for name, messages in error.message_dict.items()})


STEPS: dict[str, Callable[[FileRun, list[FileEntry]], None]] = {
    "tenants": _tenants,
    "users": _users,
    "issuers": token_sources.issuers,
    "introspections": token_sources.introspections,
    "plans": _plans,
    "apis": _apis,
    "applications": _applications,
    "subscriptions": _subscriptions,
}
