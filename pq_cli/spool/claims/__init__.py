"""Claims: what is served next, and what is over."""
