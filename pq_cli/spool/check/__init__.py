"""Looking for damage, and mending it."""
