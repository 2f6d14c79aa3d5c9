"""Show: the web console."""
