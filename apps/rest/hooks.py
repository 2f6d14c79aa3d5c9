"""What the REST kit asks of the apps above it."""

from apps.foundation.hooks import Hook

receipt_wanted: Hook[[int | None], object] = Hook()
"""Called with a purge clock, or ``None``, after a change: one function waits for the gateways and returns the receipt."""
