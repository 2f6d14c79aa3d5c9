"""What this room calls of higher ones."""

from apps.catalog.models import API
from apps.foundation.field_names import Errors
from apps.foundation.hooks import Hook
from apps.tenants.actors import Actor

further_errors: Hook[[Actor, API], Errors] = Hook()
"""What is wrong, by field, with the settings of an API that name objects of higher rooms, as its editor may know them."""
