"""May: applications, API keys, plans, access requests and subscriptions."""
