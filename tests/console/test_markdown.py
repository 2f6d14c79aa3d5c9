"""Documentation of an API is CommonMark, shown as HTML that does nothing which its author may not do."""

import pytest
from django.urls import reverse

from apps.access.models import Subscription
from apps.catalog.services import api_deprecate, api_update
from apps.console.markdown import LONGEST, rendered
from tests.support.cast import make_api, make_application, make_plan, make_subscription

pytestmark = pytest.mark.django_db


def test_headings_lists_code_and_tables_are_html_below_the_headings_of_the_page():
    html = rendered("# Petstore Plus\n\nA **sample**.\n\n* one\n* `two`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    for part in ("<h3>Petstore Plus</h3>", "<strong>sample</strong>", "<li>one</li>", "<code>two</code>", "<td>1</td>"):
        assert part in html
    assert "<h6>deep</h6>" in rendered("###### deep")


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))",
        "[a](data:text/html;base64,PHNjcmlwdD4=)",
        "[a](vbscript:x)",
        "[a](//evil.test/)",
        "![a](https://evil.test/pixel.png)",
        "![a][b]\n\n[b]: https://evil.test/pixel.png",
        '[a](https://x.test/"onmouseover="alert(1))',
        '<https://x.test/"onclick=alert(1)>',
        "`<script>`",
        "```<script>\n<b>\n```",
    ],
)
def test_no_text_becomes_a_script_an_image_or_a_link_elsewhere_than_to_the_web(text: str):
    html = rendered(text)
    for part in ("<script", "<img", "<b>", 'href="javascript', 'href="data', 'href="vb', 'href="//', '" on', '"on'):
        assert part not in html.lower()


def test_links_vouch_for_nothing():
    assert rendered("[a](https://x.test/)") == (
        '<p><a href="https://x.test/" rel="nofollow noopener noreferrer">a</a></p>\n'
    )


def test_a_very_long_text_is_shown_as_it_is():
    assert rendered("*a* <b>" * LONGEST).startswith('<div class="plain-text">*a* &lt;b&gt;')


def test_the_catalogue_and_the_owner_see_it_rendered(cast, client):
    api_update(actor=cast.olga, api=make_api(cast.platform), documentation="# How to\n\n<b>Call</b> *it*.")
    client.force_login(cast.olga)
    for route in ("console:catalogue_entry", "console:api_documentation"):
        page = client.get(reverse(route, args=["products"])).content.decode()
        assert "<h3>How to</h3>\n<p>&lt;b&gt;Call&lt;/b&gt; <em>it</em>.</p>" in page


def test_a_deprecated_api_stays_in_the_catalogue_of_who_calls_it(cast, client):
    api = make_api(cast.platform)
    make_subscription(make_application(cast.globex), api, make_plan())
    api_deprecate(actor=cast.olga, api=api, comment="Use the new one until May.")

    def listed(user) -> bool:
        client.force_login(user)
        page = client.get(reverse("console:catalogue")).content.decode()
        return reverse("console:catalogue_entry", args=["products"]) in page

    assert listed(cast.charlie)
    assert "Deprecated" in client.get(reverse("console:catalogue")).content.decode()
    entry = client.get(reverse("console:catalogue_entry", args=["products"])).content.decode()
    assert "Use the new one until May." in entry
    assert not listed(cast.alice)
    Subscription.objects.update(state="revoked")
    assert not listed(cast.charlie)
