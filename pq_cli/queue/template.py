"""The queue.toml that `pq init` writes: every field, its default, and what it means."""

CONFIG_TEMPLATE = """\
# The policy of this queue. Every line below is the default; uncomment to change.
# Durations: "90s", "5m", "1h30m", "2d". pq-queue.toml(5) explains each field.

# false serves plain first in, first out, whatever the priorities.
#enable_priority = true
#default_priority = 5

# Waiting items gain aging_boost for every threshold they have waited, at most
# max_priority_boost. With 9, no item can starve.
#enable_aging = true
#aging_threshold_seconds = 300
#aging_boost = 1
#max_priority_boost = 4
# "manual" ages only when `pq age` is run.
#aging_clock = "live"

# A failed attempt is retried after backoff * backoff_factor ** (attempts - 1).
#max_attempts = 3
#backoff = "30s"
#backoff_factor = 2.0
#max_backoff = "1h"

# Exit statuses of a command that mean "later, uncounted", besides 75 and 111.
# For curl: [6, 7, 22, 28].
#defer_on = []

# How long a claim holds without being renewed.
#lease = "5m"

# The most live items (0: no limit); above it enqueue exits 75.
#max_items = 0

# How long a file in new/ must rest where nothing else shows that it is whole.
#drop_settle = "2s"

# "fast" leaves out the syncs: a crash of the machine may lose the last seconds.
#durability = "full"

# How long `pq purge` spares ended items. keep_done = "0s" removes them at once, and with them
# what `pq run --log` kept.
#keep_done = "0s"
#keep_failed = "30d"

# How long `pq undo` can bring back what `rm` or `purge` removed.
#keep_removed = "1d"

# How many items of a limit (`pq enqueue --limit NAME`) may be at work at once: a line each, as
# api = 3; of others it is 1. What stands in this table is read anew whenever it has changed.
#[limits]
"""
