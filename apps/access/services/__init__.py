"""Changing applications, credentials, issuers, plans, requests and subscriptions. Errors as in ``apps.foundation.errors``."""

from apps.access.services.applications import application_create, application_delete, application_update
from apps.access.services.certificates import certificate_add
from apps.access.services.client_ids import client_id_add
from apps.access.services.introspections import introspection_create, introspection_delete, introspection_update
from apps.access.services.issuers import issuer_create, issuer_delete, issuer_update
from apps.access.services.keys import (
    NewKey,
    key_create,
    key_import,
    key_revoke,
    key_rotate,
    key_update,
    keys_revoke,
    trial_key_create,
    trial_keys_clean,
)
from apps.access.services.leaked_keys import leaked_keys_check
from apps.access.services.plans import plan_create, plan_delete, plan_update
from apps.access.services.requests import (
    request_approve,
    request_ask,
    request_cancel,
    request_create,
    request_reject,
    request_submit,
    request_update,
)
from apps.access.services.revocations import revocations_clean, subject_restore, subject_revoke, token_revoke
from apps.access.services.signing_keys import NewSigningKey, signing_key_create, signing_key_import
from apps.access.services.subscriptions import (
    subscription_change_plan,
    subscription_create,
    subscription_resume,
    subscription_revoke,
    subscription_suspend,
    subscriptions_expire,
)

__all__ = [
    "NewKey",
    "NewSigningKey",
    "application_create",
    "application_delete",
    "application_update",
    "certificate_add",
    "client_id_add",
    "introspection_create",
    "introspection_delete",
    "introspection_update",
    "issuer_create",
    "issuer_delete",
    "issuer_update",
    "key_create",
    "key_import",
    "key_revoke",
    "key_rotate",
    "key_update",
    "keys_revoke",
    "leaked_keys_check",
    "plan_create",
    "plan_delete",
    "plan_update",
    "request_approve",
    "request_ask",
    "request_cancel",
    "request_create",
    "request_reject",
    "request_submit",
    "request_update",
    "revocations_clean",
    "signing_key_create",
    "signing_key_import",
    "subject_restore",
    "subject_revoke",
    "subscription_change_plan",
    "subscription_create",
    "subscription_resume",
    "subscription_revoke",
    "subscription_suspend",
    "subscriptions_expire",
    "token_revoke",
    "trial_key_create",
    "trial_keys_clean",
]
