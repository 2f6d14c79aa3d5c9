"""``manage.py revoke``: what it ends, what it says, and what it refuses."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from apps.access.choices import KeyState
from apps.access.models import Credential, Revocation
from apps.audit.models import Entry
from tests.support.cast import make_application, make_issuer, make_key

pytestmark = pytest.mark.django_db


def revoke(*arguments: str) -> tuple[int, str, str]:
    """Its exit status, and what it says."""
    out, err = StringIO(), StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("revoke", *arguments, stdout=out, stderr=err)
    code = ended.value.code
    assert isinstance(code, int)
    return code, out.getvalue(), err.getvalue()


def test_a_key_is_revoked_by_its_id_and_no_other(cast, state_redis):
    application = make_application(cast.acme)
    key, other = make_key(application).key, make_key(application, "other").key
    code, said, _ = revoke(str(key.pk), "--comment", "leaked")
    assert code in (0, 3)
    assert said.startswith(f"Revoked {key}: ")
    assert [Credential.objects.get(pk=each.pk).state for each in (key, other)] == ["revoked", "active"]
    assert Entry.objects.get(verb="key.revoke").comment == "leaked"
    assert revoke(str(key.pk))[::2] == (1, f"{key} is revoked already. Nothing was changed.\n")


def test_tokens_are_revoked_by_id_and_by_subject(cast, state_redis):
    make_issuer("corp")
    make_issuer("own", cast.acme)
    code, said, _ = revoke("--jti", "1", "--issuer", "corp")
    assert code in (0, 3)
    assert said.startswith("Revoked the token at corp: ")
    assert revoke("--subject", "ann", "--issuer", "own")[1].startswith(
        "Revoked all tokens until now of the subject at own: "
    )
    assert revoke("--jti", "2", "--subject", "ann")[1].startswith("Revoked the token at corp, own: ")
    rows = Revocation.objects.order_by("pk").values_list("kind", "issuer__slug")
    assert list(rows) == [("jti", "corp"), ("subject", "own"), ("jti", "corp"), ("jti", "own")]
    assert Entry.objects.filter(verb__startswith="revocation.", via="command").count() == 4


def test_an_application_loses_all_its_credentials_and_a_tenant_is_suspended(cast, state_redis):
    application, other = make_application(cast.acme), make_application(cast.acme, "other")
    for each in (application, application, other):
        make_key(each)
    assert revoke("--application", "acme/bot")[1].startswith("Revoked 2 credentials of acme/bot: ")
    active = Credential.objects.filter(state=KeyState.ACTIVE)
    assert [each.application for each in active] == [other]
    assert revoke("--tenant", "acme")[1].startswith("Suspended acme: ")
    cast.acme.refresh_from_db()
    assert cast.acme.state == "suspended"
    assert revoke("--tenant", "acme")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["999"], "There is no key 999."),
        (["--jti", "1"], "There is no issuer."),
        (["--subject", "ann", "--issuer", "nobody"], "There is no issuer nobody."),
        (["--application", "acme/nothing"], "There is no application acme/nothing."),
        (["--application", "acme"], "There is no application acme."),
        (["--tenant", "nobody"], "There is no tenant nobody."),
    ],
)
def test_what_is_not_there_is_said(cast, arguments: list[str], said: str):
    assert revoke(*arguments) == (1, "", f"{said} Nothing was changed.\n")


def test_a_jti_that_no_token_has_is_refused(cast):
    make_issuer("corp")
    assert revoke("--jti", "", "--issuer", "corp")[0] == 1
    assert not Revocation.objects.exists()


@pytest.mark.parametrize(
    "arguments", [[], ["1", "--tenant", "acme"], ["--jti", "1", "--tenant", "x"], ["--subject", "ann"]]
)
def test_one_thing_is_named(arguments: list[str]):
    with pytest.raises(CommandError, match="Name"):
        call_command("revoke", *arguments)
