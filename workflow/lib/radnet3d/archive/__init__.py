"""Where series come from: one small interface, one module a source."""
