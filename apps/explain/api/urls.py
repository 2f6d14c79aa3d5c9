"""Routes of explanations, below ``/api/v1/``."""

from django.urls import path, re_path

from apps.explain.api.lookup import ExplainView
from apps.explain.api.recorded_call import ExplainCallView
from apps.explain.api.token import TestTokenView

urlpatterns = [
    path("apis/<slug:api>/explain/", ExplainView.as_view(), name="api-explain"),
    path("issuers/<slug:issuer>/test/", TestTokenView.as_view(), name="api-issuer-test"),
    re_path(r"^calls/(?P<call_id>[A-Za-z0-9._-]+)/explain/$", ExplainCallView.as_view(), name="api-call-explain"),
]
