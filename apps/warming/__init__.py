"""Warming the cache up: responses that are in it ahead of demand, pushed by their origin or fetched."""
