"""Run: the supervisor, the node agent, the demo, start-up checks."""
