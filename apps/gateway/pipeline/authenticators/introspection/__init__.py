"""Opaque tokens: bearers' tokens that mean nothing by themselves, and whose server says what they are worth (RFC 7662).

``opaque_tokens`` is the way of saying who calls; ``asking`` remembers and asks, ``questions`` and ``responses`` are what goes
there and comes back, and ``failed_tokens`` slows clients down whose tokens are worth nothing.
"""
