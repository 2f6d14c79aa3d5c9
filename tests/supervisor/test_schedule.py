"""What tenants name can be slow: it never takes all of Celery's threads from records and changes."""

from pathlib import Path

from django.conf import settings

from apps.supervisor.installation import celery

WAIT_FOR_OTHERS = {
    "catalog.check_hosts": "name servers and hosts: tests/catalog/test_host_proofs.py has one round at a time",
    "invalidation.forward": "CDNs: tests/invalidation/test_forwarding.py has one at a time",
    "warming.work": "upstreams: tests/warming/test_tasks.py has one at a time",
}
WAIT_FOR_THE_PLATFORM = {
    "access.expire",
    "analytics.ingest",
    "analytics.retention",
    "fleet.reconcile",
    "invalidation.retain",
    "notifications.send",
    "notifications.tend",
    "tenants.notify",
    "warming.begin",
}


def test_each_task_of_the_schedule_says_whom_it_waits_for():
    scheduled = {str(each["task"]) for each in settings.CELERY_BEAT_SCHEDULE.values()}
    assert scheduled == WAIT_FOR_OTHERS.keys() | WAIT_FOR_THE_PLATFORM


def test_two_threads_are_left_when_all_that_wait_for_others_do():
    worker = next(plan.command.argv for plan in celery() if plan.name == "worker")
    threads = next(int(word.partition("=")[2]) for word in worker if word.startswith("--concurrency="))
    assert threads >= len(WAIT_FOR_OTHERS) + 2
    assert f'"--concurrency", "{threads}"' in (Path(settings.BASE_DIR) / "docker-compose.yml").read_text()
