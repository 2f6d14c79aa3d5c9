"""Notifications: whom a change concerns hears of it, in the console and by e-mail."""
