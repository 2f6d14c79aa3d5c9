"""Measurements, side by side with a peer in one run: ``make bench``. Results are printed, never asserted."""
