"""Prepare: answers that are in the cache before anybody asks, pushed by their origin or fetched ahead."""
