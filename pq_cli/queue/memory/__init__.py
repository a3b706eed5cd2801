"""A queue in memory: a store without a disk, for tests and for programs that need the order."""
