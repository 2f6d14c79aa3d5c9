"""Responses that are in the cache before anybody asks."""
