"""Running commands on items: the worker contract, one child, and the pool."""
