"""The Celery application. Its schedule lives in code: see ``CELERY_BEAT_SCHEDULE`` in the settings."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apimgr.settings")

app = Celery("apimgr")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
