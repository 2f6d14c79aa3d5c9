"""Notifications: a change is told to the users whom it concerns, in the console and by e-mail."""
