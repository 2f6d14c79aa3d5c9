"""Who: users, tenants (teams), memberships and roles, sign-in."""
