"""The wire: libpq as psycopg wraps it, and nothing of pq."""
