"""Where issuers push security events."""
