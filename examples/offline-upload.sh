#!/bin/sh
# A test station that comes and goes: each report is uploaded at once, or as soon as there is a
# network again. Runs by itself: "online" is a file here, the server a folder.
#
#   sh examples/offline-upload.sh
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PQ_SPOOL="$work/spool" SERVER="$work/server" ONLINE="$work/online"
mkdir "$SERVER"

# What uploads one report from stdin; curl would exit with 7 here. --defer-on says that such an
# exit means: not now, and do not count it. (75, EX_TEMPFAIL, means that without being named.)
cat > "$work/upload" <<'UPLOAD'
#!/bin/sh
[ -e "$ONLINE" ] || { echo "no network" >&2; exit 7; }
# Written aside and renamed: a report is on the server whole or not at all, also if sent twice.
cat > "$SERVER/.$PQ_ID" && mv "$SERVER/.$PQ_ID" "$SERVER/$PQ_ID"
UPLOAD
chmod +x "$work/upload"

echo "== online: a report goes straight through"
touch "$ONLINE"
echo "report of 10:00" | pq submit -p 2 -- "$work/upload"
ls "$SERVER"

echo "== offline: reports are queued, the urgent one first in line"
rm "$ONLINE"
echo "old report" | pq submit -p 8 -- "$work/upload" 2>/dev/null
echo "report of 10:05" | pq submit -p 2 -- "$work/upload" 2>/dev/null
pq ls | cut -f 1-3

echo "== what cron does every minute: nothing while the network is away ..."
pq run -j2 --when "test -e $ONLINE" --defer-on 6,7,22,28 -- "$work/upload" 2>/dev/null || echo "exit $?"

echo "== ... and everything once it is back"
touch "$ONLINE"
pq run -j2 --when "test -e $ONLINE" --defer-on 6,7,22,28 -- "$work/upload"
pq ls | wc -l
cat "$SERVER"/* | sort
