"""Forms about tokens: who issues them, what introspection servers say of them, client IDs, and a token to be looked at."""

from typing import Any

from django import forms
from django.db.models import QuerySet

from apps.access.choices import ClientAuthentication, RevocationKind
from apps.access.jwk_sets import SIGNATURES
from apps.access.models import Introspection, Issuer, Revocation
from apps.access.services import subject_revoke, token_revoke
from apps.access.token_documents import ANY
from apps.console.forms.access import in_the_future
from apps.console.forms.apis import TenantField
from apps.console.forms.fields import ConsoleForm, DurationField, MomentField, WordsField, helped, needed
from apps.tenants.actors import Actor
from apps.tenants.models import Tenant
from apps.wire.revocations import LONGEST_VALUE

SHARED_SECRET_ALGORITHMS = ("HS256", "HS384", "HS512")
SOURCES = (
    ("discovery", "In the issuer's metadata (OpenID Connect, RFC 8414)"),
    ("jwks_url", "At an address (JWKS)"),
    ("jwks", "Written here (JWKS)"),
    ("secret", "A shared secret, for HS algorithms alone"),
)
KEPT = "Kept encrypted and never shown. To keep the one that is there, leave this empty."
LONGEST_TOKEN = 64 * 1024


class SecretArea(forms.Textarea):
    """For secrets of several lines. Like a password's, the field never has what was typed before."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Without the value."""
        return super().get_context(name, None, attrs)


def secret_field(widget: forms.Widget, **options: Any) -> forms.CharField:
    """A secret: what is kept is never shown, and an empty field leaves it."""
    widget.attrs |= {"autocomplete": "new-password", "spellcheck": "false"}
    return forms.CharField(required=False, widget=widget, **options)


def short_name() -> forms.SlugField:
    """The slug of a new object that has no other name."""
    return forms.SlugField(max_length=64, label="Short name", help_text="For addresses and files. It never changes.")


class OwnerField(TenantField):
    """Whose an issuer or an introspection server is: the platform's, for administrators, or a tenant's."""

    def __init__(self) -> None:
        super().__init__(label="Owner", help_text="APIs of this tenant alone may name it.")

    def offer(self, tenants: QuerySet[Tenant], *, platform: bool = False) -> None:
        """Let the reader choose from these; where the ``platform`` is one of them, it is what nobody has to choose."""
        super().offer(tenants)
        if platform:
            self.required, self.initial, self.empty_label = False, None, "The platform: any API may name it"
            self.help_text = "A tenant's is for that tenant's own APIs."


class IssuerForm(ConsoleForm):
    """Who issues tokens that APIs accept."""

    issuer = helped(
        forms.CharField(
            max_length=512,
            label="Issuer",
            help_text="What its tokens say in iss, to the letter.",
            widget=forms.TextInput({"spellcheck": "false"}),
        ),
        "issuers",
    )
    source = helped(
        forms.ChoiceField(choices=SOURCES, initial="discovery", label="Where they are", widget=forms.RadioSelect),
        "issuer-keys",
    )
    jwks_url = needed(
        forms.CharField(
            required=False,
            max_length=2048,
            label="Address of the keys",
            help_text="Fetched by the gateways, and anew when a token names a key that they don't know.",
            widget=forms.TextInput({"spellcheck": "false"}),
        ),
        "for keys at an address",
    )
    jwks = needed(
        forms.JSONField(
            required=False,
            label="Keys",
            help_text='Public keys alone: {"keys": [{"kty": "EC", "kid": …}]}.',
            widget=forms.Textarea({"rows": 6, "spellcheck": "false"}),
        ),
        "for keys written here",
    )
    secret = needed(
        secret_field(forms.PasswordInput(), label="Shared secret", help_text=f"32 bytes at least. {KEPT}"),
        "for HS algorithms",
    )
    algorithms = helped(
        forms.MultipleChoiceField(
            choices=[(name, name) for name in (*SIGNATURES, *SHARED_SECRET_ALGORITHMS)],
            initial=["RS256", "ES256"],
            widget=forms.CheckboxSelectMultiple,
            help_text="The only ones that a signature may have.",
        ),
        "issuer-algorithms",
    )
    audience = helped(
        needed(WordsField(help_text="Of these aud must name one. Separated by commas."), "unless any is taken"),
        "audience",
    )
    any_audience = forms.BooleanField(required=False, label="Any audience: take tokens that were issued for others too")
    client_claim = forms.CharField(
        max_length=128,
        initial="azp",
        label="Claim of the client",
        help_text="Whose value is the client ID of an application, like azp, client_id or sub.",
    )
    leeway = DurationField(initial=30.0, help_text="By which clocks may differ: 5 minutes at most.")
    dpop = helped(
        forms.BooleanField(
            required=False,
            label="Bound to a key of the client (DPoP)",
            help_text="Clients prove with each call that they hold the key (RFC 9449).",
        ),
        "dpop",
    )

    @staticmethod
    def initial_of(issuer: Issuer) -> dict[str, Any]:
        """What the form shows of ``issuer``: all but the secret."""
        shown = ("issuer", "jwks_url", "jwks", "algorithms", "audience", "client_claim", "leeway", "dpop")
        return {name: getattr(issuer, name) for name in shown} | {
            "source": source_of(issuer),
            "any_audience": not issuer.audience,
        }

    def clean(self) -> dict[str, Any]:
        """Say what the chosen source of keys lacks, and whether it is any audience that is wanted."""
        data = self.cleaned_data
        kept = {"secret": self.initial.get("source") == "secret"}
        source = data.get("source")
        if source in self.fields and source not in self.errors and not data.get(source) and not kept.get(source):
            self.add_error(source, "Fill this in, or choose another source of keys.")
        if "audience" not in self.errors:
            if not data["audience"] and not data.get("any_audience"):
                self.add_error("audience", "Name the audience that your APIs are known by, or take any.")
            elif data["audience"] and data.get("any_audience"):
                self.add_error("any_audience", "Either any audience, or those named above.")
        return data

    def arguments(self) -> dict[str, Any]:
        """What the service gets: one source of keys; a secret where one was typed."""
        data = dict(self.cleaned_data)
        source = data.pop("source")
        data.pop("any_audience")
        secret = data.pop("secret")
        own: dict[str, Any] = {
            "audience": data["audience"] or ANY,
            "discovery": source == "discovery",
            "jwks_url": data["jwks_url"] if source == "jwks_url" else "",
            "jwks": data["jwks"] if source == "jwks" else None,
        }
        if source != "secret":
            own["secret"] = None
        elif secret:
            own["secret"] = secret
        return data | own


def source_of(issuer: Issuer) -> str:
    """Where the keys of an issuer come from, as the form has it."""
    if issuer.discovery:
        return "discovery"
    return "jwks_url" if issuer.jwks_url else "jwks" if issuer.jwks else "secret"


class Owned(ConsoleForm):
    """A new object of the platform or a tenant."""

    slug = short_name()
    tenant = OwnerField()

    def __init__(self, *args: Any, tenants: QuerySet[Tenant], platform: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"].offer(tenants, platform=platform)  # type: ignore[attr-defined]


class NewIssuerForm(Owned, IssuerForm):
    """The same with what never changes afterwards."""


class IntrospectionForm(ConsoleForm):
    """A server that says what opaque tokens are worth."""

    url = helped(
        forms.CharField(
            max_length=2048,
            label="Address",
            help_text="Where gateways ask what a token is worth (RFC 7662).",
            widget=forms.TextInput({"spellcheck": "false"}),
        ),
        "introspection",
    )
    client_authentication = forms.ChoiceField(
        choices=ClientAuthentication.choices,
        initial=ClientAuthentication.BASIC,
        label="Gateways prove who they are",
        help_text="As the server wants it.",
    )
    client_id = needed(
        forms.CharField(required=False, max_length=255, label="Client ID", help_text="As whom they ask."),
        "unless they don't",
    )
    secret = needed(
        secret_field(
            SecretArea({"rows": 2}), label="Secret", help_text=f"The client secret, or a private key in PEM. {KEPT}"
        ),
        "unless they don't",
    )
    client_claim = forms.CharField(
        max_length=128,
        initial="client_id",
        label="Field of the client",
        help_text="Of the server's response; its value is the client ID of an application.",
    )
    cache = helped(
        DurationField(
            initial=30.0,
            label="An active token is remembered for",
            help_text="Never past its end. A token that is revoked at the server goes on for so long.",
        ),
        "introspection-cache",
    )
    negative_cache = DurationField(initial=5.0, label="One that isn't active, for")

    @staticmethod
    def initial_of(found: Introspection) -> dict[str, Any]:
        """What the form shows of ``found``: all but the secret."""
        return {name: getattr(found, name) for name in IntrospectionForm.base_fields if name != "secret"}

    def arguments(self) -> dict[str, Any]:
        """What the service gets; a secret where one was typed."""
        data = dict(self.cleaned_data)
        if data["client_authentication"] == ClientAuthentication.NONE:
            data["secret"] = None
        elif not data["secret"]:
            data.pop("secret")
        return data


class NewIntrospectionForm(Owned, IntrospectionForm):
    """The same with what never changes afterwards."""


class ClientIDForm(ConsoleForm):
    """A client ID that tokens name an application by."""

    client_id = helped(
        forms.CharField(
            max_length=255,
            label="Client ID",
            help_text="As the tokens have it, to the letter.",
            widget=forms.TextInput({"spellcheck": "false", "autocomplete": "off"}),
        ),
        "client-ids",
    )
    known_to = forms.ChoiceField(label="Known to", help_text="In whose tokens it counts.")
    expires_at = MomentField(label="Good until", help_text="In UTC. Empty: until it is revoked.")

    def __init__(
        self, *args: Any, issuers: QuerySet[Issuer], servers: QuerySet[Introspection], platform: bool, **kwargs: Any
    ) -> None:
        """``platform``: whether the reader may claim a client ID of the platform's issuers and servers."""
        super().__init__(*args, **kwargs)
        self.known: dict[str, dict[str, Any]] = {"": {}}
        self.known |= {f"issuer:{each.slug}": {"issuer": each} for each in issuers}
        self.known |= {f"introspection:{each.slug}": {"introspection": each} for each in servers}
        field: Any = self.fields["known_to"]
        field.required = not platform
        field.choices = [
            ("", "The platform's issuers and introspection servers" if platform else "Choose an issuer"),
            *((word, word.partition(":")[2]) for word in self.known if word),
        ]

    def clean_expires_at(self) -> Any:
        """In the future."""
        return in_the_future(self.cleaned_data["expires_at"])

    def arguments(self) -> dict[str, Any]:
        """What the service gets: the issuer or the introspection server, of a tenant."""
        data = dict(self.cleaned_data)
        known = self.known[data.pop("known_to")]
        return data | known


class RevocationForm(ConsoleForm):
    """What is revoked at an issuer: a token by its ID, or a subject's tokens until now."""

    kind = forms.ChoiceField(
        choices=[
            (RevocationKind.SUBJECT, "All tokens of a subject that were issued until now"),
            (RevocationKind.JTI, "One token"),
        ],
        label="What",
        widget=forms.RadioSelect,
        initial=RevocationKind.SUBJECT,
    )
    value = forms.CharField(
        max_length=LONGEST_VALUE,
        strip=False,
        label="Subject or token ID",
        help_text="What the token says in sub, or in jti, to the letter. It is kept as a hash.",
    )
    comment = forms.CharField(required=False, max_length=300, label="Why", help_text="For the audit log.")

    def __init__(self, *args: Any, issuer: Issuer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.issuer = issuer

    def arguments(self) -> dict[str, Any]:
        """With the issuer."""
        return self.cleaned_data | {"issuer": self.issuer}

    @staticmethod
    def revoke(*, actor: Actor, issuer: Issuer, kind: str, value: str, comment: str) -> Revocation:
        """By the service for its kind."""
        if kind == RevocationKind.JTI:
            return token_revoke(actor=actor, issuer=issuer, jti=value, comment=comment)
        return subject_revoke(actor=actor, issuer=issuer, subject=value, comment=comment)


class TestTokenForm(ConsoleForm):
    """A token to be looked at: it is neither kept nor logged."""

    token = forms.CharField(
        max_length=LONGEST_TOKEN,
        widget=forms.Textarea({"rows": 5, "spellcheck": "false", "autocomplete": "off"}),
        help_text="As the issuer gave it. It is looked at and forgotten: not kept, not logged, not passed on.",
    )

    __test__ = False

    def clean_token(self) -> str:
        """Without the word that stands before it in a call, and without the breaks of a terminal."""
        typed = "".join(self.cleaned_data["token"].split())
        return typed[len("Bearer") :] if typed[: len("Bearer")].lower() == "bearer" else typed
