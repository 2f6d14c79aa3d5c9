"""Settings. Everything that differs between installations comes from the environment: see docs/configuration.md."""

import os
import socket
from pathlib import Path

from apimgr import parsers
from apimgr.environment import ROOT, celery_broker, data_dir, derived, secret, socket_path
from apimgr.variables import read, read_list, refuse
from apps.egress.rules import ONE_MACHINE, own_places, rule_of, rules_error

BASE_DIR = ROOT
DATA_DIR: Path = data_dir()

SECRET_KEY = secret("SECRET_KEY", DATA_DIR)
KEY_PEPPER = secret("KEY_PEPPER", DATA_DIR).encode()
FIELD_KEYS = secret("FIELD_KEYS", DATA_DIR).split(",")
if not all(FIELD_KEYS):
    refuse("FIELD_KEYS", "one of its keys is empty: write keys with one comma between two of them.")

# What travels through Redis carries a MAC: whoever can write to Redis still can't mint a key or a cached answer.
SNAPSHOT_MAC_KEY = derived(KEY_PEPPER.decode(), "snapshot")
ENTRY_MAC_KEY = derived(KEY_PEPPER.decode(), "cached entry")
# Each audit entry carries a MAC too: write access to the database is not enough to forge the chain of entries.
AUDIT_MAC_KEY = derived(KEY_PEPPER.decode(), "audit entry")

DEBUG = read("DEBUG", False, parsers.flag)
# Whether the first start makes the demo.
DEMO = read("DEMO", True, parsers.flag)
ALLOWED_HOSTS = read_list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"], parsers.host_pattern)
CSRF_TRUSTED_ORIGINS = read_list("CSRF_TRUSTED_ORIGINS", [], parsers.origin)

# Loopback unless said otherwise: in a container, 0.0.0.0.
LISTEN_HOST = read("LISTEN_HOST", "127.0.0.1", parsers.host)
CONSOLE_PORT = read("CONSOLE_PORT", 8000, parsers.whole(1, 65535))
GATEWAY_PORT = read("GATEWAY_PORT", 8080, parsers.whole(1, 65535))
GATEWAY_WORKERS = read("GATEWAY_WORKERS", min(2, os.cpu_count() or 1), parsers.whole(1, 1024))
GATEWAY_URL = read("GATEWAY_URL", f"http://127.0.0.1:{GATEWAY_PORT}", parsers.site)
L1_BYTES = read("L1_BYTES", 64 * 2**20, parsers.whole(0, 2**50))
CACHE_TENANT_SHARE = read("CACHE_TENANT_SHARE", 1.0, parsers.number(0.01, 1.0))
TRUSTED_PROXIES = read_list("TRUSTED_PROXIES", [], parsers.network)
# Who may read /_gateway/metrics besides the machine itself.
METRICS_NETWORKS = read_list("METRICS_NETWORKS", [], parsers.network)
CLIENT_MIN_RATE = read("CLIENT_MIN_RATE", 500.0, parsers.number(0, 1e12))
CONNECTIONS_PER_CLIENT = read("CONNECTIONS_PER_CLIENT", 1000, parsers.whole(0, 1_000_000))
# Call records wait in the spool until the database has them; over its budget the oldest are deleted, and counted.
NODE_NAME = read("NODE_NAME", socket.gethostname(), parsers.line(255))
SPOOL_DIR = DATA_DIR / "spool"
SPOOL_BYTES = read("SPOOL_BYTES", 2**30, parsers.whole(0, 2**50))
# Rows a second, of the whole installation, that the log gets of calls to no known API; all of them are counted.
STRANGER_ROWS = read("STRANGER_ROWS", 10.0, parsers.number(0, 1_000_000))
# How many days are kept: single calls, and figures by minute, hour and day.
CALL_LOG_DAYS = read("CALL_LOG_DAYS", 7, parsers.whole(0, 3650))
MINUTE_FIGURES_DAYS, HOUR_FIGURES_DAYS, DAY_FIGURES_DAYS = 2, 90, 3 * 365

# Where calls of every tenant's APIs may lead beyond public addresses. On one machine that is where upstreams are.
_database_url = read("DATABASE_URL", "", parsers.database_url, is_secret=True)
EGRESS_ALLOW = read_list("EGRESS_ALLOW", [] if _database_url else list(ONE_MACHINE), rule_of)
if _refusal := rules_error(EGRESS_ALLOW):
    refuse("EGRESS_ALLOW", _refusal)

TRUST_LEASE = read("TRUST_LEASE", 900.0, parsers.duration)

# State is append-only and must not evict; cached responses may be lost at any time.
STATE_SOCKET = socket_path(DATA_DIR, "state")
CACHE_SOCKET = socket_path(DATA_DIR, "cache")
_state_url = read("REDIS_URL", "", parsers.redis_url, is_secret=True)
_cache_url = read("CACHE_REDIS_URL", "", parsers.redis_url, is_secret=True)
REDIS_IS_EMBEDDED = not _state_url
REDIS_URL = _state_url or f"unix://{STATE_SOCKET}"
CACHE_REDIS_IS_EMBEDDED = not _state_url and not _cache_url
CACHE_REDIS_URL = _cache_url or (f"unix://{CACHE_SOCKET}" if CACHE_REDIS_IS_EMBEDDED else REDIS_URL)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_cotton.apps.SimpleAppConfig",
    "template_partials.apps.SimpleAppConfig",
    "django_filters",
    "django_htmx",
    "django_tables2",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "apps.audit",
    "apps.tenants",
    "apps.caching",
    "apps.catalog",
    "apps.access",
    "apps.fleet",
    "apps.gateway",
    "apps.analytics",
    "apps.warming",
    "apps.invalidation",
    "apps.explain",
    "apps.notifications",
    "apps.declarative",
    "apps.console",
    "apps.supervisor",
]

MIDDLEWARE = [
    "apimgr.transport.SecureCookies",
    "apimgr.transport.PlainCookies",
    "apimgr.request_origin.request_origin",
    "django.middleware.security.SecurityMiddleware",
    "apimgr.static_files.StaticFilesMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "apimgr.urls"
ASGI_APPLICATION = "apimgr.asgi.application"

# Cotton and partials each want to replace the loaders: both are named here, in the one order that works.
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django_cotton.cotton_loader.Loader",
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "builtins": [
                "django_cotton.templatetags.cotton",
                "template_partials.templatetags.partials",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "apps.console.context.frame",
            ],
        },
    }
]

DATABASES = {"default": parsers.database(_database_url or f"sqlite:///{DATA_DIR / 'apimgr.sqlite3'}")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # Several processes write: WAL lets readers go on, IMMEDIATE takes the write lock before reading what is changed.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        }
    )
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {
    "default": {
        "BACKEND": "apps.foundation.resilient_cache.SteadyCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "apimgr:django",
        "OPTIONS": {
            "CLIENT_CLASS": "apps.cachestore.backend.OneServerClient",
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "IGNORE_EXCEPTIONS": True,  # what the backend doesn't do without Redis, the console does without
        },
    },
    "responses": {
        "BACKEND": "apps.cachestore.backend.ResponsesCache",
        "LOCATION": CACHE_REDIS_URL,
        "KEY_PREFIX": "apimgr:r",
    },
}

AUTH_USER_MODEL = "tenants.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "apps.tenants.sign_in.AccountAdapter"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_FORMS = {"reset_password": "apps.tenants.forms.ResetPasswordForm"}
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"  # noqa: S105
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True  # in a browser that isn't known yet, this is the way in that no guessing closes
ACCOUNT_RATE_LIMITS = {
    "login": None,  # this and the next: counted by apps.tenants.throttle
    "login_failed": None,
    # Anybody may have a letter sent to any address: each is bounded, and so is each sender.
    "reset_password": "20/m/ip,60/h/ip,10/h/key",
}
MFA_ADAPTER = "apps.tenants.sign_in.MFAAdapter"
MFA_ALLOW_UNVERIFIED_EMAIL = True  # strangers make no accounts: see docs/decisions/0029
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_FORMS = {
    "authenticate": "apps.tenants.forms.AuthenticateForm",
    "reauthenticate": "apps.tenants.forms.ReauthenticateForm",
}

SESSION_ENGINE = "apps.tenants.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = read("SECURE_COOKIES", False, parsers.flag)
# Sent with what leaves over HTTPS: browsers then use nothing else for the console's host for so long.
SECURE_HSTS_SECONDS = int(read("HSTS", 0.0, parsers.duration))
SECURE_HSTS_INCLUDE_SUBDOMAINS = read("HSTS_SUBDOMAINS", False, parsers.flag)
# What these ask for has other names here, or is a proxy's to do: apps.supervisor.checks asks for it in our words.
SILENCED_SYSTEM_CHECKS = [f"security.W{number}" for number in ("004", "005", "008", "009", "012", "016", "021")]
SECURE_CONTENT_TYPE_NOSNIFF = True
DATA_UPLOAD_MAX_NUMBER_FIELDS = 3000  # the policy editor with as many operations as a policy may have
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# An e-mail leaves through EMAIL_URL; without one it becomes a file that the console shows.
MAIL_DIR = DATA_DIR / "mail"
_email_url = read("EMAIL_URL", "", parsers.mail_url, is_secret=True)
if _email_url:
    vars().update(parsers.mail(_email_url))
    EMAIL_IS_FILES = False
else:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = str(MAIL_DIR)
    EMAIL_IS_FILES = True
DEFAULT_FROM_EMAIL = read("DEFAULT_FROM_EMAIL", "apimgr <apimgr@localhost>", parsers.sender)
CONSOLE_URL = read("CONSOLE_URL", f"http://127.0.0.1:{CONSOLE_PORT}", parsers.site)

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True  # no collectstatic step: the files are served from where they are
WHITENOISE_MAX_AGE = 3600

CELERY_BROKER_URL, CELERY_BROKER_TRANSPORT_OPTIONS = celery_broker(
    read("CELERY_BROKER_URL", REDIS_URL, parsers.broker_url, is_secret=True)
)
# Where origins' systems say what has changed; empty: nowhere.
INVALIDATION_URL = read("INVALIDATION_URL", "", parsers.messages_url, is_secret=True)
INVALIDATION_QUEUE = read("INVALIDATION_QUEUE", "apimgr.invalidations", parsers.line(255))

# Where no call of an API may lead, whatever is allowed.
OWN_PLACES = own_places(
    [
        *(REDIS_URL, CACHE_REDIS_URL, CELERY_BROKER_URL, INVALIDATION_URL, _email_url),
        *(_database_url, GATEWAY_URL, CONSOLE_URL),
    ],
    ports=[CONSOLE_PORT, GATEWAY_PORT],
    extra=read_list("EGRESS_OWN", [], parsers.place),
)

# Who is asked for the TXT records that prove host names, as address or address:port; empty: whom the system asks.
DNS_SERVERS = read_list("DNS_SERVERS", [], parsers.server_of_names)

CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "apimgr"
# A tick that waited longer than its period is worth nothing: the next one does its work.
CELERY_BEAT_SCHEDULE = {
    "analytics.ingest": {"task": "analytics.ingest", "schedule": 1.0, "options": {"expires": 5}},
    "analytics.retention": {"task": "analytics.retention", "schedule": 3600.0, "options": {"expires": 3600}},
    "fleet.reconcile": {"task": "fleet.reconcile", "schedule": 3.0, "options": {"expires": 5}},
    "warming.begin": {"task": "warming.begin", "schedule": 5.0, "options": {"expires": 5}},
    "warming.work": {"task": "warming.work", "schedule": 2.0, "options": {"expires": 4}},
    "invalidation.forward": {"task": "invalidation.forward", "schedule": 2.0, "options": {"expires": 4}},
    "invalidation.retain": {"task": "invalidation.retain", "schedule": 3600.0, "options": {"expires": 3600}},
    "tenants.notify": {"task": "tenants.notify", "schedule": 3600.0, "options": {"expires": 3600}},
    "catalog.check_hosts": {"task": "catalog.check_hosts", "schedule": 10.0, "options": {"expires": 10}},
    "notifications.send": {"task": "notifications.send", "schedule": 10.0, "options": {"expires": 10}},
    "notifications.tend": {"task": "notifications.tend", "schedule": 3600.0, "options": {"expires": 3600}},
    "access.expire": {"task": "access.expire", "schedule": 15.0, "options": {"expires": 15}},
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "apps.tenants.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "apps.tenants.api.permissions.HasScope",
    ],
    "DEFAULT_PAGINATION_CLASS": "apps.rest.pagination.PagePagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["apps.rest.parsers.JSONBody"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "apps.rest.errors.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "apimgr",
    "DESCRIPTION": "The REST API of the control plane.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    # Fields of one name with choices of their own each.
    "ENUM_NAME_OVERRIDES": {
        "CredentialKindEnum": "apps.access.choices.CredentialKind",
        "RevocationKindEnum": "apps.access.choices.RevocationKind",
        "PurgeKindEnum": "apps.caching.choices.PurgeKind",
    },
}

DJANGO_TABLES2_TEMPLATE = "tables/table.html"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(levelname)s %(name)s %(message)s"}},
    "filters": {"server_errors": {"()": "apimgr.log_filters.ServerErrors"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["server_errors"]}},
    "root": {
        "handlers": ["console"],
        "level": read("LOG_LEVEL", "INFO", parsers.words("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")),
    },
    "loggers": {"httpx": {"level": "WARNING"}, "uvicorn.access": {"level": "WARNING"}},
}
