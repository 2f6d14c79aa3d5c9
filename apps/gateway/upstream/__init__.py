"""Connections to upstreams: bytes go out as they are given and come back as they were sent.

``client.py`` is the interface that the rest of the gateway knows and its implementation; ``connection.py`` one HTTP/1.1
connection; ``addresses.py`` which addresses may be called.
"""
