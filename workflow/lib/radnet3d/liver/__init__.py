"""Liver cases: import, checks, the canonical frame, slice ranges."""
