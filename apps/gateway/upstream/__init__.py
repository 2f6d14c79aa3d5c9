"""Connections to upstreams: bytes go out as they are given and come back as they were sent.

``client.py`` is the interface that the rest of the gateway knows, and its implementation: ``resolver.py`` looks names up,
``connection_attempts.py`` connects to the first address that answers, ``connection.py`` is one HTTP/1.1 connection,
``trust.py`` says whose certificates are believed. ``calls.py`` chooses the upstream and tries again, within the places of
``concurrency.py``; ``headers.py`` and ``rewriting.py`` say what is sent and passed on, ``errors.py`` and ``failure_log.py``
why a call failed.
Which addresses may be called is in ``apps/egress``.
"""
