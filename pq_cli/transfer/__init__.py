"""Items on their way between a spool and the world: what has been taken, and streams of items."""
