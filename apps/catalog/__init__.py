"""What: APIs, revisions, upstreams, operations, their lifecycle and import."""
