"""The reader's notifications, and which of them come by e-mail too."""

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse

from apps.console.actions import FORM, Action, action
from apps.console.filters import NotificationFilters
from apps.console.form_responses import done
from apps.console.forms.people import MailForm, ReadForm
from apps.console.lists import listing
from apps.console.page_access import SignedInRequest, anyone, page
from apps.console.tables import NotificationTable
from apps.notifications.selectors import mailed_groups, notifications_visible_to, unread_count
from apps.notifications.services import mails_choose, notifications_read


@page(may=anyone, methods=FORM)
def notifications(request: SignedInRequest) -> HttpResponse:
    """What the reader was notified of. A POST marks one as read, or all: see ``ReadForm``."""
    if request.method == "POST":
        form = ReadForm(request.POST)
        if form.is_valid():
            notifications_read(actor=request.user, numbers=form.cleaned_data["read"])
        return done(request, request.get_full_path())
    context = listing(request, notifications_visible_to(request.user), NotificationTable, NotificationFilters)
    return render(request, "notifications/list.html", {**context, "unread": unread_count(request.user)})


@action(may=anyone)
def mails(request: SignedInRequest) -> Action:
    """Choose which notifications come by e-mail."""
    return Action(
        heading="Notifications by e-mail",
        submit="Save",
        back=reverse("console:account"),
        back_label="Your account",
        explain="The console lists all of them. Letters about your account and its tokens come always.",
        form=MailForm,
        initial={"groups": mailed_groups(request.user)},
        service=mails_choose,
        said="Your choice is saved.",
    )
