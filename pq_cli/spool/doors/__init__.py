"""The ways into a spool and out of it."""
