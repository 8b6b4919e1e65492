"""Picture files: found, looked at before the first step, and read by one rule."""
