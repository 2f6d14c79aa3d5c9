"""Serve: the data plane."""
