"""Training and inference. Imports torch."""
