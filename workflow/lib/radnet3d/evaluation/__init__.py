"""Splits of results into tables: metrics, intervals, the comparison of initialisations."""
