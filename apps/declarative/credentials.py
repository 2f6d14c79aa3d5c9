"""Makes true what the file says of the certificates and signing keys of applications, and what credentials are good for."""

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from apps.access import services as access
from apps.access.choices import CredentialKind, KeyState
from apps.access.models import Application, Credential
from apps.access.services.certificates import fingerprint, read_client_certificate
from apps.access.services.key_bounds import BOUNDS, Bounds
from apps.declarative.entries import FileEntry
from apps.declarative.run import FileRun
from apps.tenants.actors import PLATFORM


def certificate(run: FileRun, entry: FileEntry, application: Application, name: str) -> None:
    """One of an application's ``certificates``; ``name`` is ``tenant/application/name``. Without the certificate itself, of which
    the platform keeps the fingerprint alone, it must be there already; another one takes the place of those of its name.
    """
    said = entry.data
    same_name = active(CredentialKind.CERTIFICATE).filter(application=application, name=said["name"])
    if "certificate" not in said:
        if not same_name:
            raise run.source.refuse(entry.path, f"{name} is new: give its certificate")
        for row in same_name:
            bind(run, entry, row, "certificate", name)
        run.named.setdefault("certificate", set()).update(same_name.values_list("pk", flat=True))
        return
    with run.blaming(entry):
        known = fingerprint(read_client_certificate(said["certificate"], timezone.now()))
        held = active(CredentialKind.CERTIFICATE).filter(application=application, identifier=known).first()
        replaced = [] if held else list(same_name)
        if held is None:
            held = access.certificate_add(
                actor=PLATFORM,
                application=application,
                name=said["name"],
                certificate=said["certificate"],
                **bounds_in(entry),
            )
            run.added("certificate", name)
        else:
            bind(run, entry, held, "certificate", name)
        for row in replaced:
            access.key_revoke(actor=PLATFORM, key=row, comment="Replaced by the declarative file.")
    run.named.setdefault("certificate", set()).add(held.pk)


def signing_key(run: FileRun, entry: FileEntry, application: Application, name: str) -> None:
    """One of an application's ``signing_keys``; ``name`` is ``tenant/application/key_id``. Without its secret it must be there
    already, and its secret never changes: another one has another ID.
    """
    said = entry.data
    secret = said.get("secret")
    if secret is not None and "secret_env" in said:
        raise run.source.refuse(entry.path, "give secret or secret_env, not both")
    secret = run.from_environment(entry, said.get("secret_env"), "secret_env") if secret is None else secret
    held = active(CredentialKind.SIGNING_KEY).filter(application=application, identifier=said["key_id"]).first()
    with run.blaming(entry):
        if held is not None:
            if secret not in (None, held.secret):
                raise ValidationError({"secret": "A signing key's secret never changes: give another key_id with it."})
            bind(run, entry, held, "signing key", name)
        elif secret is None:
            raise run.source.refuse(
                entry.path, f"{name} is new: give its secret_env, the name of the variable that holds it"
            )
        else:
            held = access.signing_key_import(
                actor=PLATFORM,
                application=application,
                name=said.get("name", said["key_id"][:64]),
                key_id=said["key_id"],
                secret=secret,
                expires_at=said.get("expires_at"),
                **bounds_in(entry),
            )
            run.added("signing key", name)
    run.named.setdefault("signing key", set()).add(held.pk)


def bind(run: FileRun, entry: FileEntry, row: Credential, kind: str, name: str) -> None:
    """Have a credential be good for what the file names for it, where it does."""
    bounds = bounds_in(entry)
    if bounds:
        before = {bound: getattr(row, bound) for bound in bounds}
        with run.blaming(entry):
            access.key_update(actor=PLATFORM, key=row, **bounds)
        run.changed(kind, name, before, {bound: getattr(row, bound) for bound in bounds})


def bounds_in(entry: FileEntry) -> Bounds:
    """The bounds that an entry names."""
    return {bound: entry.data[bound] for bound in BOUNDS if bound in entry.data}  # type: ignore[return-value]


def active(kind: CredentialKind) -> QuerySet[Credential]:
    """Those of all applications, without the passing keys of "Try it"."""
    return Credential.objects.filter(kind=kind, state=KeyState.ACTIVE, api=None)
