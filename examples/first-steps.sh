#!/bin/sh
# pq from end to end: two priorities from a pipe, a look, a worker, and a worker that is killed.
# Runs in a spool of its own.
set -eu

PQ_SPOOL=$(mktemp -d)/spool
export PQ_SPOOL
trap 'rm -rf "$(dirname "$PQ_SPOOL")"' EXIT

say() { printf '\n$ %s\n' "$*"; }

say "printf '%s\n' 'import 2019' 'import 2020' | pq enqueue --lines -p 8     # bulk"
printf '%s\n' 'import 2019' 'import 2020' | pq enqueue --lines -p 8

say "echo 'live report' | pq enqueue -p 2 --name live.txt                # live"
echo 'live report' | pq enqueue -p 2 --name live.txt

say "pq ls                                                # in the order it would be served"
pq ls

# What uploads one item: the payload on stdin, its name in $PQ_NAME. Away is 7, as curl says it.
cat > "$PQ_SPOOL.upload" <<'UPLOAD'
[ -e "$PQ_SPOOL.online" ] || exit 7
echo "https://example.org/${PQ_NAME:-$PQ_ID} <- $(cat)"
UPLOAD

say "pq run --defer-on 6,7,22,28 -- ./upload       # nobody there: put off, no attempt is counted"
pq run --defer-on 6,7,22,28 -- sh "$PQ_SPOOL.upload" || true

say "pq retry --all                                       # it is back: do not wait for the retry"
touch "$PQ_SPOOL.online"
pq retry --all

say "pq run --defer-on 6,7,22,28 -- ./upload              # until nothing is left"
pq run --defer-on 6,7,22,28 -- sh "$PQ_SPOOL.upload"

say "pq ls                                                # nothing is left"
pq ls

say "echo 'one more' | pq enqueue"
echo 'one more' | pq enqueue

say "pq run -- sh -c '...; sleep 1000' &                  # a worker that is in the middle of it"
pq run -- sh -c "touch '$PQ_SPOOL.begun'; sleep 1000" &
until [ -e "$PQ_SPOOL.begun" ]; do sleep 0.1; done

say "kill -9 \$!                                           # and is gone, with no time to clean up"
kill -9 $!

say "pq next --wait=60 -- ./upload                        # the next worker has it at once"
pq next --wait=60 -- sh "$PQ_SPOOL.upload"

say "pq log | tail -n 3                                   # what happened"
pq log | tail -n 3
