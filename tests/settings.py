"""The settings under test: the project's own, in a data directory that lives as long as the test run.

pytest-django reads settings before any conftest, so this is the place where nothing of a developer's own installation is touched.
``DATABASE_URL`` and ``CELERY_BROKER_URL`` are left alone: the suite runs on PostgreSQL and RabbitMQ where they name one.
"""

import atexit
import os
import shutil
import tempfile

# A short name: a Unix socket's path holds about 100 bytes.
_data = tempfile.mkdtemp(prefix="apimgr-tests-")
atexit.register(shutil.rmtree, _data, True)
os.environ["APIMGR_DATA"] = _data
# Upstreams of tests are here, whatever the database is.
os.environ["EGRESS_ALLOW"] = "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"
_READ = {
    *("CACHE_REDIS_URL", "CONSOLE_PORT", "CONSOLE_URL", "DEBUG", "DEMO", "EMAIL_URL", "GATEWAY_PORT", "GATEWAY_URL"),
    *("CACHE_TENANT_SHARE", "CLIENT_MIN_RATE", "CONNECTIONS_PER_CLIENT", "EGRESS_OWN", "INVALIDATION_QUEUE"),
    *("INVALIDATION_URL", "GATEWAY_WORKERS", "KEY_PEPPER", "L1_BYTES", "REDIS_URL", "SECRET_KEY", "METRICS_NETWORKS"),
    *("HSTS", "HSTS_SUBDOMAINS", "SECURE_COOKIES", "TRUSTED_PROXIES", "TRUST_LEASE"),
}
for _name in _READ:
    os.environ.pop(_name, None)

from apimgr.settings import *  # noqa: E402, F403

# Hashing a password well takes a quarter of a second; no test is about how hard it is.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# SQLite in a file, as it is used: in memory its locks are others, and two writers fail each other instead of waiting.
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(_data, "test.sqlite3")}  # noqa: F405
