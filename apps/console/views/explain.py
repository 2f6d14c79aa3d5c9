"""What the cache would do with a typed request."""

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import render

from apps.console.form_responses import attempt, sent
from apps.console.forms.explain import ExplainForm
from apps.console.page_access import SignedInRequest, anyone, page
from apps.explain.lookup import explain
from apps.purging.selectors import applications_explainable_by

FORM = ("GET", "HEAD", "POST")


@page(may=anyone, methods=FORM)
def explain_page(request: SignedInRequest) -> HttpResponse:
    """A typed request: its key in parts, the decision with its reason, the nearest stored response. Nothing is called.

    Which APIs a reader may ask about is the service's to say.
    """
    start = {name: request.GET.get(name, "") for name in ("method", "url", "application") if request.GET.get(name)}
    form = ExplainForm(sent(request), initial=start, applications=applications_explainable_by(request.user))
    found, status = None, 200
    if request.method == "POST":
        try:
            found = attempt(form, lambda: explain(actor=request.user, **form.cleaned_data))
        except PermissionDenied as denied:
            form.add_error("url", str(denied) or "This isn't yours to ask.")
            status = 403
    if form.errors and (request.htmx or status == 200):
        status = 422  # what htmx shows of a refusal
    template = "cache/explained.html" if request.htmx else "cache/explain.html"
    return render(request, template, {"form": form, "explained": found}, status=status)
