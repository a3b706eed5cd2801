"""Pictures of a queue: sparklines for the terminal, a page for the web."""
