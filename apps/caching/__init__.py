"""Remember: cache policies and purges, the RFC 9111 core and the two tiers of stored responses."""
