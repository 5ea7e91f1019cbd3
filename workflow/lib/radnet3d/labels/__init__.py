"""Labels with evidence, from headers or catalogue text."""
