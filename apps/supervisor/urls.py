"""Addresses."""

from django.urls import URLPattern, URLResolver, path

from apps.supervisor import views

app_name = "platform"
urlpatterns: list[URLPattern | URLResolver] = [
    path("livez", views.livez, name="livez"),
    path("readyz", views.readyz, name="readyz"),
]
