"""The verbs of a queue, each once, over a store: memory, a spool, a database."""
