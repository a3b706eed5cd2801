"""Claims that are made here: one round trip to make one, to end one, or to do both."""
