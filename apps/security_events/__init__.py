"""Security events of issuers (Security Event Tokens, RFC 8417), which end what a subject has here: who says that a session or an
account is over need not wait until its tokens expire.

``events`` reads a token and says what it is about, pure; ``inbox`` checks who signed it and revokes; ``api`` is where issuers push
them (RFC 8935).
"""
