"""Volumes: pixels in the acquisition frame, resampled and stored for fast random reading."""
