"""A token is tested over REST: explained, and forgotten."""

from apps.access.services import client_id_add
from apps.audit.models import Entry
from apps.tenants.actors import PLATFORM
from tests.explain.test_typed_token import PUBLIC, token
from tests.support.cast import make_api, make_application, make_issuer, make_subscription

PATH = "/api/v1/issuers/corp/test/"


def test_each_claim_is_told_and_whose_it_is_and_where_it_is_taken(cast, calls_as, state_redis):
    make_issuer(jwks={"keys": [PUBLIC]})
    bot = make_application(cast.acme)
    client_id_add(actor=PLATFORM, application=bot, client_id="robot")
    rules = {"issuers": ["corp"], "operations": [{"path": "/admin/**", "required_scopes": ["admin"]}]}
    api = make_api(cast.platform, authentication=["jwt"], jwt=rules)
    make_subscription(bot, api)
    answer = calls_as(cast.bob).post(PATH, {"token": token(scope="read", tier="gold")})
    assert (answer.status_code, answer["Cache-Control"]) == (200, "no-store")
    told = answer.json()
    assert (told["good"], told["away"], told["client"], told["application"]) == (True, "", "robot", "acme/bot")
    assert {each["about"] for each in told["findings"]} >= {"signature", "iss", "aud", "exp"}
    assert not any(each["code"] for each in told["findings"])
    assert (told["scopes"], told["claims"]["tier"]) == (["read"], "gold")
    [at] = told["apis"]
    assert (at["api"], at["code"]) == ("products", "")
    assert [each["path"] for each in at["closed"]] == ["/admin/**"]
    stranger = calls_as(cast.charlie).post(PATH, {"token": token()}).json()
    assert stranger["application"] is None


def test_what_is_wrong_is_told_and_nothing_of_whose_it_is(cast, calls_as, state_redis):
    make_issuer(jwks={"keys": [PUBLIC]})
    told = calls_as(cast.alice).post(PATH, {"token": token(exp=1)}).json()
    assert told["good"] is False
    assert [each["code"] for each in told["findings"] if each["code"]] == ["token_expired"]
    assert (told["application"], told["apis"]) == (None, [])
    [form] = calls_as(cast.alice).post(PATH, {"token": "no token"}).json()["findings"]
    assert (form["about"], form["said"]) == ("form", None)
    assert form["sentence"]


def test_the_token_is_neither_recorded_nor_logged(cast, calls_as, state_redis, caplog):
    make_issuer(jwks={"keys": [PUBLIC]})
    alice = calls_as(cast.alice)
    entries, typed = Entry.objects.count(), token()
    assert alice.post(PATH, {"token": typed}).status_code == 200
    assert alice.post(PATH, {"token": typed, "typo": 1}).status_code == 400
    assert Entry.objects.count() == entries
    assert typed not in caplog.text


def test_tokens_of_other_tenants_issuers_are_not_tested(cast, calls_as, state_redis):
    make_issuer("corp", cast.acme, jwks={"keys": [PUBLIC]})
    assert calls_as(cast.charlie).post(PATH, {"token": token()}).status_code == 404
    assert calls_as(cast.vera).post(PATH, {"token": token()}).json()["good"] is True


def test_a_body_without_a_token_or_with_an_endless_one_is_refused(cast, calls_as, state_redis):
    make_issuer()
    for body in ({}, {"token": ""}, {"token": "x" * 16_385}):
        refused = calls_as(cast.ada).post(PATH, body)
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["token"])
