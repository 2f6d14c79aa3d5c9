"""End: purges on word from outside (queue, webhook), and word of purges to the outside (CDNs)."""
