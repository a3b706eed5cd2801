"""A store that is a PostgreSQL database, for who has outgrown one machine. See pq-postgres(7)."""
