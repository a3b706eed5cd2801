"""Claims that are made here: one round trip to make them, one to end them."""
