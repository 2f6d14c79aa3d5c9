"""Rules for the paths that upstreams get: what is taken and what is refused, in the file, over REST and in the form."""

from typing import Any

import pytest
import yaml
from django.core.exceptions import ValidationError

from apps.catalog import services
from apps.catalog.models import API
from apps.catalog.rewrites import MOST, check_rewrite
from apps.console.forms.fields import RewritesField
from apps.declarative.exporting import export
from apps.fleet.compile import compile_api, compile_policy
from tests.catalog.test_apis import errors_of
from tests.declarative.test_apply import applied
from tests.support.cast import Cast, make_api

RULES = [{"from": "/old/{id}", "to": "/new/{id}"}, {"from": "/v1/**", "to": "/v2/**"}]


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ("/a", "list"),
        ([{"from": "/a"}], "from and to"),
        ([{"from": "/a", "to": "/b", "of": "/c"}], "from and to"),
        ([{"from": "a", "to": "/b"}], "starts with a slash"),
        ([{"from": "/a", "to": "/" + "b" * 500}], "500 characters"),
        ([{"from": "/a//b", "to": "/b"}], "between two slashes"),
        ([{"from": "/{id}/{id}", "to": "/b"}], "twice"),
        ([{"from": "/a", "to": "/{id}"}], "has not"),
        ([{"from": "/a", "to": "/b/**"}], "does not"),
        ([{"from": "/**/a", "to": "/b"}], "segment"),
        ([{"from": "/a*", "to": "/b"}], "segment"),
        ([{"from": "/x{id}", "to": "/b"}], "segment"),
        ([{"from": "/{}", "to": "/b"}], "segment"),
        ([{"from": "/a?b=c", "to": "/b"}], "segment"),
        ([{"from": "/a", "to": "/../b"}], "segment"),
        ([{"from": "/a", "to": "/%2e%2e/b"}], "segment"),
        ([{"from": "/a", "to": "/b"}, {"from": "/a", "to": "/c"}], "already"),
        ([{"from": f"/{number}", "to": "/b"} for number in range(MOST + 1)], f"At most {MOST}"),
    ],
)
def test_what_is_no_rule_is_refused_in_words(rules: Any, told: str):
    with pytest.raises(ValueError, match=told):
        check_rewrite(rules)


@pytest.mark.django_db
def test_rules_reach_the_gateways_and_end_what_was_stored(cast: Cast):
    api = make_api(cast.platform)
    before = compile_policy(api, api.cache_policy).group
    changed = services.api_update(actor=cast.ada, api=api, rewrite=RULES)
    assert len(compile_api(changed).rewrite) == 2
    assert compile_policy(changed, changed.cache_policy).group != before
    assert list(
        errors_of(lambda: services.api_update(actor=cast.ada, api=api, rewrite=[{"from": "a", "to": "b"}]))
    ) == ["rewrite"]


@pytest.mark.django_db
def test_rules_are_exported_and_applied_again_change_nothing(cast: Cast):
    make_api(cast.platform, rewrite=RULES)
    said = export()
    assert said["apis"][0]["rewrite"] == RULES
    assert applied(yaml.safe_dump(said)) == []
    assert API.objects.get().rewrite == RULES


def test_the_form_has_a_line_for_each_rule():
    field = RewritesField()
    text = field.prepare_value(RULES)
    assert text == "/old/{id} -> /new/{id}\n/v1/** -> /v2/**"
    assert field.clean(text) == RULES
    assert field.clean("") == []
    with pytest.raises(ValidationError, match="each rule"):
        field.clean("/old /new")
