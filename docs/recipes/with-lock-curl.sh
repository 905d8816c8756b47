#!/bin/sh
# Runs a command while holding a resource: with-lock-curl.sh POOL COMMAND...
#
# COMMAND finds the id in $LATCH_ID. The resource is given back when COMMAND ends, and also when this
# script is ended by Ctrl-C or TERM. If the machine dies the lease ends it, so TTL has to be longer than
# COMMAND takes. Exit codes: that of COMMAND; 75 busy, 69 any other trouble with the server.
# If it is stopped while it waits, the queue keeps its place for ten seconds (--queue-grace).
# For any POSIX shell. `latch run` does the same, and renews.
set -u
pool=$1; shift                              # percent-encoded where it needs to be
lock=${LATCH_URL:-http://127.0.0.1:8081}/pool/$pool/lock
owner=$(uname -n)-$$-$(date +%s)            # makes asking safe to repeat
wait=${WAIT:-60} ttl=${TTL:-3600}           # seconds

# A shell hears a signal at once while it waits, but while it runs something only afterwards.
run() { "$@" <&3 3<&- & child=$!; wait "$child"; }
exec 3<&0                                   # what is in the background has no input by itself
stop() { trap '' HUP INT TERM; kill "$child" 2>/dev/null; wait "$child"; exit "$1"; }
forget() { rm -f "$answer"; }
release() {
    forget
    curl -sSf -o /dev/null --retry 3 --retry-connrefused --max-time 30 -X DELETE "$lock?owner=$owner"
}
child='' answer=$(mktemp) || exit 69
trap release EXIT
trap 'stop 129' HUP; trap 'stop 130' INT; trap 'stop 143' TERM

run curl -sf --retry 3 --retry-connrefused --max-time $((wait + 30)) -w '\n%{http_code}\n' \
    -X POST "$lock?owner=$owner&wait=$wait&ttl=$ttl" >"$answer"
{ IFS= read -r LATCH_ID; read -r status; } <"$answer"
case $status in
    200) ;;
    409) echo "$pool: busy" >&2; trap forget EXIT; exit 75 ;;
    *) echo "$pool: the server says $status" >&2; exit 69 ;;
esac
export LATCH_ID
run "$@"
