"""Witness: the append-only record of every decision, which is also the outbox of configuration changes."""
