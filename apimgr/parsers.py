"""Parsers of the environment's variables: from text to value. Each raises ``ValueError`` with a sentence for administrators."""

import ipaddress
import re
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import environ
import redis
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from apimgr.environment import SENTINEL, name_server, seconds, sentinels
from apimgr.variables import Parser
from apps.egress.rules import own_places

LONGEST_DURATION = 3650 * 86400
"""Seconds."""

_HOST = re.compile(r"\w([\w.-]*[\w.])?")
_TRUE = ("1", "true", "on", "yes", "y", "ok")
_FALSE = ("0", "false", "off", "no", "n")
_DATABASE_SCHEMES = ("postgres", "postgresql", "sqlite")
_STATE_SCHEMES = ("redis", "rediss", "unix", SENTINEL)
_BROKER_SCHEMES = ("amqp", "amqps", "pyamqp", "sentinel", "redis+socket")
_KAFKA_SCHEMES = ("kafka", "confluentkafka")


def flag(text: str) -> bool:
    """``1`` or ``0``, or a word for it."""
    word = text.strip().lower()
    if word not in _TRUE and word not in _FALSE:
        raise ValueError(f"{text!r} is neither yes nor no: write 1 or 0.")
    return word in _TRUE


def whole(low: int, high: int) -> Parser[int]:
    """A whole number within bounds."""

    def parse(text: str) -> int:
        stripped = text.strip()
        if not re.fullmatch(r"-?[0-9]{1,19}", stripped) or not low <= int(stripped) <= high:
            raise ValueError(f"{text!r} is not allowed: write a whole number from {low} to {high}.")
        return int(stripped)

    return parse


def number(low: float, high: float) -> Parser[float]:
    """A number within bounds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ValueError(f"{text!r} is not allowed: write a number from {low:g} to {high:g}.")
        return value

    return parse


def duration(text: str) -> float:
    """Seconds, of ``15m`` or ``2h``: ten years at most."""
    try:
        value = seconds(text)
    except ValueError:
        value = -1
    if not 0 <= value <= LONGEST_DURATION:
        longest = f"{LONGEST_DURATION // 86400}d"
        raise ValueError(f"{text!r} is not allowed: write a duration like 500ms, 20s, 15m or 2h, up to {longest}.")
    return value


def words(*allowed: str) -> Parser[str]:
    """One of some words, in any case."""

    def parse(text: str) -> str:
        word = text.strip().upper()
        if word not in allowed:
            raise ValueError(f"{text!r} is not allowed: write {', '.join(allowed[:-1])} or {allowed[-1]}.")
        return word

    return parse


def line(longest: int) -> Parser[str]:
    """A text of one line and up to ``longest`` characters."""

    def parse(text: str) -> str:
        if not text.strip() or len(text) > longest:
            raise ValueError(f"{text!r} is not allowed: write between 1 and {longest} characters.")
        return text

    return parse


def host(text: str) -> str:
    """An address or a host name."""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        if re.fullmatch(r"[0-9.]+", text) or not _HOST.fullmatch(text) or len(text) > 253:
            raise ValueError(f"{text!r} is no address and no host name: write 127.0.0.1, 0.0.0.0 or a name.") from None
        return text


def host_pattern(text: str) -> str:
    """A host name that the console answers to: a name, ``.example.com`` for those below it too, an address, or ``*``."""
    if text != "*":
        try:
            host(text.removeprefix("."))
        except ValueError:
            raise ValueError(
                f"{text!r} is no host name: write names like apis.example.com, without scheme and port."
            ) from None
    return text


def network(text: str) -> str:
    """An address, or a network like ``10.0.0.0/8``."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is no network: write addresses and networks like 10.0.0.0/8,fd00::/8.") from None
    return text


def site(text: str) -> str:
    """The URL of a site, without the slash at its end."""
    try:
        parts = urlsplit(text)
        host(parts.hostname or "")
        is_usable = parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{text!r} is no URL of a site: write one like https://apis.example.com.")
    return text.rstrip("/")


def origin(text: str) -> str:
    """Scheme and host, as browsers send ``Origin``; ``*.`` before the host for those below it."""
    try:
        is_usable = not urlsplit(site(text.replace("://*.", "://", 1))).path
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError(f"{text!r} is no origin: write https://apis.example.com, with its scheme and without a path.")
    return text


def redis_url(text: str) -> str:
    """The address of a Redis server, or of its sentinels."""
    return _server(text, _STATE_SCHEMES)


def broker_url(text: str) -> str:
    """The address of Celery's broker; several are separated by ``;``."""
    for each in text.split(";"):
        _server(each, (*_STATE_SCHEMES, *_BROKER_SCHEMES), whole=text)
    return text


def messages_url(text: str) -> str:
    """The address of the server from which messages about changes come."""
    return _server(text, (*_STATE_SCHEMES, *_BROKER_SCHEMES, *_KAFKA_SCHEMES))


def database(text: str) -> dict[str, Any]:
    """Django's settings of the database that a URL names."""
    scheme, _, rest = text.partition("://")
    try:
        settings = environ.Env.db_url_config(text) if scheme in _DATABASE_SCHEMES and rest.strip("/") else {}
        is_usable = bool(settings.get("NAME")) and all(
            0 < int(port) < 65536 for port in str(settings["PORT"] or 1).split(",")
        )
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError(
            f"{text!r} names no database: write postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:////PATH."
        )
    return settings


def mail(text: str) -> dict[str, Any]:
    """Django's settings of the mail server that a URL names."""
    scheme = text.partition("://")[0]
    try:
        settings = environ.Env.email_url_config(text) if scheme in environ.Env.EMAIL_SCHEMES else {}
        is_usable = bool(settings) and (bool(settings["EMAIL_HOST"]) or not scheme.startswith("smtp"))
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError(f"{text!r} names no mail server: write smtp://USER:PASSWORD@HOST:PORT or smtp+tls://….")
    return settings


def database_url(text: str) -> str:
    """The URL of a database, as it is."""
    database(text)
    return text


def mail_url(text: str) -> str:
    """The URL of a mail server, as it is."""
    mail(text)
    return text


def sender(text: str) -> str:
    """Who sends letters: an e-mail address, with a name before it or without."""
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(text)[1]):
        raise ValueError(f"{text!r} holds no e-mail address: write apimgr <apis@example.com>.")
    return text


def email(text: str) -> str:
    """An e-mail address."""
    try:
        validate_email(text)
    except ValidationError:
        raise ValueError(f"{text!r} is no e-mail address: write one like admin@example.com.") from None
    return text


def server_of_names(text: str) -> str:
    """The address of a DNS server, with its port or without."""
    try:
        name_server(text)
    except ValueError:
        raise ValueError(f"{text!r} is no server of names: write its address, or address:port.") from None
    return text


def place(text: str) -> str:
    """A host and a port."""
    own_places((), (), [text])
    return text


def _server(text: str, schemes: tuple[str, ...], whole: str = "") -> str:
    """``text``, if it is a URL with one of the ``schemes`` and a place. ``whole`` is what the sentence repeats."""
    scheme, separator, rest = text.partition("://")
    try:
        is_usable = bool(separator) and scheme in schemes and bool(rest)
        if scheme == SENTINEL:
            sentinels(text)
        elif scheme in ("redis", "rediss", "unix"):
            redis.connection.parse_url(text)
            database_number = urlsplit(text).path.strip("/") if scheme != "unix" else ""
            is_usable = is_usable and (not database_number or database_number.isdecimal())
        elif scheme in ("amqp", "amqps", "pyamqp"):
            is_usable = is_usable and urlsplit(text).port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        shown = ", ".join(f"{each}://…" for each in schemes[:-1])
        raise ValueError(f"{whole or text!r} names no server: write {shown} or {schemes[-1]}://….")
    return text
