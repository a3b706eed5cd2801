#!/bin/sh
# pq from end to end: two priorities from a pipe, a look, a worker. Runs in a spool of its own.
set -eu

PQ_SPOOL=$(mktemp -d)/spool
export PQ_SPOOL
trap 'rm -rf "$(dirname "$PQ_SPOOL")"' EXIT

say() { printf '\n$ %s\n' "$*"; }

say "printf '%s\n' 'import 2019' 'import 2020' | pq enqueue --lines -p 8     # bulk"
printf '%s\n' 'import 2019' 'import 2020' | pq enqueue --lines -p 8

say "echo 'live report' | pq enqueue -p 2                                # live"
echo 'live report' | pq enqueue -p 2

say "pq ls                                                # in the order it would be served"
pq ls

say "pq next -- cat                                       # until nothing is left"
while pq next -- cat; do :; done

say "pq ls                                                # nothing is left"
pq ls
