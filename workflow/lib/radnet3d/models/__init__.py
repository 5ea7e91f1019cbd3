"""Networks. Imports torch."""
