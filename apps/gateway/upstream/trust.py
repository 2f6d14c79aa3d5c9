"""By which certificates an upstream is recognized."""

import ssl


def tls_context(ca: str) -> ssl.SSLContext:
    """How TLS to an upstream is set up: with ``ca`` (PEM) only these certificates vouch for it, be they of authorities or its own;
    without, those that the machine trusts. Its name is checked in either case. Raises ``ssl.SSLError``.
    """
    context = ssl.create_default_context(cadata=ca or None)
    if ca:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["http/1.1"])
    return context
