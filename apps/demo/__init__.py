"""A small world to look at: an origin, tenants, APIs, and traffic."""
