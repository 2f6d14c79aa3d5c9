"""Dashboards, the call log, and one call explained."""
