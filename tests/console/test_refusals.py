"""What a reader sees in place of a page: the frame, one sentence that says who may, and a way back."""

import re

from django.urls import reverse

from apps.tenants import services as tenants
from apps.tenants.actors import PLATFORM
from apps.tenants.choices import Role
from tests.console.conftest import text_of
from tests.console.test_routes import address_of
from tests.support.cast import make_user


def main_of(answer) -> str:
    """What stands beside the side bar."""
    return answer.content.decode().split('<main class="main"')[1].split("</main>")[0]


def back_of(answer) -> str:
    """Where the page's button leads."""
    return re.findall(r'<a class="btn btn-primary" href="([^"]*)">Back to ', main_of(answer))[0]


def test_a_refusal_keeps_the_frame_says_it_once_and_leads_back(world, browse):
    answer = browse(world.people.vera).get(address_of("application_edit", world))
    assert answer.status_code == 403
    assert 'aria-label="Main"' in answer.content.decode()
    said = "Only owners and developers of Acme may do this. Ask Alice or Bob."
    assert text_of(answer).count(said) == 1
    assert main_of(answer).count("You may not do this") == 1
    assert back_of(answer) == reverse("console:application", args=["acme", "bot"])
    assert "Back to Bot" in text_of(answer)


def test_names_are_of_colleagues_only(world, browse):
    """Charlie asks for an API of the platform's: who may decide that is of another tenant, and is not named."""
    answer = browse(world.people.charlie).get(reverse("console:request_approve", args=[world.asked.pk]))
    assert answer.status_code == 403
    assert "Only owners of Platform may do this." in text_of(answer)
    assert "Olga" not in text_of(answer)


def test_what_nobody_of_the_tenant_may_is_the_platforms(world, browse):
    answer = browse(world.people.alice).get(reverse("console:tenant_egress", args=["acme"]))
    assert "Nobody in your tenants may do this: ask an administrator of the platform." in text_of(answer)
    assert back_of(answer) == reverse("console:tenant", args=["acme"])


def test_administrators_are_refused_what_is_done_to_oneself(world, browse):
    ada = world.people.ada
    answer = browse(ada, confirmed=True).get(reverse("console:user_switch", args=[ada.pk]))
    assert answer.status_code == 403
    assert "Another administrator has to do this." in text_of(answer)


def test_a_right_in_another_tenant_counts_for_nothing_here(world, browse):
    """Vera owns globex too: that lets her edit nothing of acme, and she is not who is asked there."""
    tenants.membership_set(actor=PLATFORM, tenant=world.people.globex, user=world.people.vera, role=Role.OWNER)
    ruth = make_user("ruth@acme.test", world.people.acme, Role.VIEWER)
    answer = browse(ruth).get(address_of("application_edit", world))
    assert "Only owners and developers of Acme may do this. Ask Alice or Bob." in text_of(answer)


def test_what_is_another_tenants_looks_like_what_was_never_there(world, browse):
    charlie = browse(world.people.charlie)
    pages = [charlie.get(f"/applications/acme/{slug}/edit/") for slug in ("bot", "no-such")]
    assert [answer.status_code for answer in pages] == [404, 404]
    theirs, nothing = (main_of(answer) for answer in pages)
    assert theirs == nothing
    assert "There is nothing here" in theirs
    assert back_of(pages[0]) == "/applications/"
    assert 'aria-label="Main"' in pages[0].content.decode()


def test_the_way_back_to_a_revision_says_which_one(world, browse):
    ruth = make_user("ruth@platform.test", world.people.platform, Role.VIEWER)
    answer = browse(ruth).get(address_of("api_restore", world))
    assert answer.status_code == 403
    assert "Back to Revision 1" in text_of(answer)
