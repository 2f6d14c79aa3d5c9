"""Holding calls against the OpenAPI document of their API. Nothing here waits, and all of it takes time
in proportion to what came.
"""
