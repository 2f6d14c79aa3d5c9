"""Secrets at rest: JSON that the database holds encrypted.

AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce. The table, the column and what tells the row from others
are the additional data, so that a value moved to another row or column doesn't open there. ``settings.FIELD_KEYS`` is
a ring: the first key encrypts, every key decrypts; ``manage.py reencrypt`` brings what older keys encrypted to the
first, after which they may go.

What is stored is the base64 of a format byte, 8 bytes that name the key, the nonce, and the ciphertext with its tag.
"""

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models, transaction
from django.db.models.query_utils import DeferredAttribute

from apimgr.environment import derived

FORMAT = b"\x01"
NAME_BYTES, NONCE_BYTES = 8, 12


class Undecipherable(Exception):
    """A value does not open: no key of the ring encrypted it, or it is not what was stored there."""


class _Key(NamedTuple):
    name: bytes
    cipher: AESGCM


class Ring:
    """Keys by age, newest first. ``keys`` are texts of any form, as ``FIELD_KEYS`` lists them; blanks around one don't count."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._keys = [_key(text) for key in keys if (text := key.strip())]
        if not self._keys:
            raise ImproperlyConfigured("FIELD_KEYS names no key: what the database holds encrypted can't be read.")

    def encrypt(self, plain: bytes, context: bytes) -> str:
        """``plain`` under the first key, for ``context`` alone."""
        key, nonce = self._keys[0], os.urandom(NONCE_BYTES)
        return base64.b64encode(FORMAT + key.name + nonce + key.cipher.encrypt(nonce, plain, context)).decode()

    def decrypt(self, stored: str, context: bytes) -> bytes:
        """What ``encrypt`` was given. Raises ``Undecipherable``."""
        name, nonce, sealed = _taken_apart(stored)
        for key in self._keys:
            if key.name == name:
                try:
                    return key.cipher.decrypt(nonce, sealed, context)
                except InvalidTag:
                    raise Undecipherable("An encrypted value was changed, or belongs to another row.") from None
        raise Undecipherable(
            f"A value was encrypted with the key {name.hex()}, which FIELD_KEYS doesn't hold any more."
        )

    def is_current(self, stored: str) -> bool:
        """Whether the first key encrypted ``stored``. Raises ``Undecipherable``."""
        return _taken_apart(stored)[0] == self._keys[0].name


def _key(text: str) -> _Key:
    return _Key(
        hashlib.blake2b(derived(text, "name of a database key"), digest_size=NAME_BYTES).digest(),
        AESGCM(derived(text, "database fields")),
    )


def _taken_apart(stored: str) -> tuple[bytes, bytes, bytes]:
    try:
        raw = base64.b64decode(stored, validate=True)
    except ValueError:
        raw = b""
    head = len(FORMAT) + NAME_BYTES
    if not raw.startswith(FORMAT) or len(raw) <= head + NONCE_BYTES:
        raise Undecipherable("What stands in the database is not an encrypted value.")
    return raw[len(FORMAT) : head], raw[head : head + NONCE_BYTES], raw[head + NONCE_BYTES :]


@lru_cache(maxsize=4)
def _ring_of(keys: tuple[str, ...]) -> Ring:
    return Ring(keys)


def ring() -> Ring:
    """The installation's keys."""
    return _ring_of(tuple(settings.FIELD_KEYS))


class SealedValue(NamedTuple):
    """A value as the database holds it, not opened yet."""

    text: str


class _Opening(DeferredAttribute):
    """Opens a value when it is asked for: lists that don't show it don't pay for it, and the row it belongs to is known."""

    field: "EncryptedJSONField"

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if instance is not None and isinstance(value, SealedValue):
            value = instance.__dict__[self.field.attname] = self.field.opened(instance, value)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        # With this it is asked for every time, not only while the instance holds nothing of that name.
        instance.__dict__[self.field.attname] = value


class EncryptedJSONField(models.TextField):
    """JSON that is encrypted in the database, for SQLite and PostgreSQL alike. It can't be searched by.

    ``row`` names the columns that tell the row from others and never change. A value is written by saving its row:
    ``update()``, which doesn't know the row, refuses it.
    """

    descriptor_class = _Opening
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def __init__(self, *args: Any, row: Sequence[str] = (), **options: Any) -> None:
        self.row = tuple(row)
        super().__init__(*args, **options)

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, path, args, options = super().deconstruct()
        return name, path, args, {**options, "row": self.row} if self.row else options

    def opened(self, instance: models.Model, value: SealedValue) -> Any:
        """What ``value`` holds. Raises ``Undecipherable``."""
        return json.loads(ring().decrypt(value.text, self._context(instance)))

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> SealedValue | None:
        return None if value is None else SealedValue(value)

    def pre_save(self, model_instance: models.Model, add: bool) -> SealedValue | None:
        value = getattr(model_instance, self.attname)
        if value is None:
            return None
        plain = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return SealedValue(ring().encrypt(plain, self._context(model_instance)))

    def get_prep_value(self, value: Any) -> str | None:
        if value is None or isinstance(value, SealedValue):
            return value and value.text
        raise TypeError(f"{self.name} is encrypted for its row: save the row, and don't look for it.")

    def to_python(self, value: Any) -> Any:
        return value

    def _context(self, instance: models.Model) -> bytes:
        own: list[Any] = [self.model._meta.db_table, self.column, *(getattr(instance, name) for name in self.row)]
        return json.dumps(own).encode()


def reencrypt() -> int:
    """Have the first key encrypt whatever an older one did, row by row; how many rows that were.

    May run beside everything else and be run again. Raises ``Undecipherable``: what was done until then stays.
    """
    count = 0
    for model in apps.get_models():
        names = [field.name for field in model._meta.local_fields if isinstance(field, EncryptedJSONField)]
        if names:
            count += sum(_reencrypt_row(model, pk, names) for pk in model._base_manager.values_list("pk", flat=True))
    return count


def _reencrypt_row(model: type[models.Model], pk: Any, names: Sequence[str]) -> bool:
    with transaction.atomic():
        row = model._base_manager.select_for_update().filter(pk=pk).first()
        if row is None:
            return False
        stored = (row.__dict__[name] for name in names)
        if all(value is None or ring().is_current(value.text) for value in stored):
            return False
        row.save(update_fields=names)
        return True
