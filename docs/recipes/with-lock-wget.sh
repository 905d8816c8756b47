#!/bin/sh
# Runs a command while holding a resource: with-lock-wget.sh POOL COMMAND...
#
# As with-lock-curl.sh, for machines that have no curl: with GNU wget, and with that of busybox, which
# knows only GET and POST, and of an error shows nothing but the status line. Neither waits for longer
# than 15 minutes. There is no -T, as it crashes the wget of busybox 1.35 in Debian 12.
set -u
pool=$1; shift                              # percent-encoded where it needs to be
lock=${LATCH_URL:-http://127.0.0.1:8081}/pool/$pool/lock
owner=$(uname -n)-$$-$(date +%s)            # makes asking safe to repeat, which wget does by itself
wait=${WAIT:-60} ttl=${TTL:-3600}           # seconds

# A shell hears a signal at once while it waits, but while it runs something only afterwards.
run() { "$@" <&3 3<&- & child=$!; wait "$child"; }
exec 3<&0                                   # what is in the background has no input by itself
post() { exec wget -O "$answer" --post-data '' "$1" 2>"$answer.log"; }
stop() { trap '' HUP INT TERM; kill "$child" 2>/dev/null; wait "$child"; exit "$1"; }
forget() { rm -f "$answer" "$answer.log"; }
release() { (post "$lock?owner=$owner&_method=DELETE") || cat "$answer.log" >&2; forget; }
child='' answer=$(mktemp) || exit 69
trap release EXIT
trap 'stop 129' HUP; trap 'stop 130' INT; trap 'stop 143' TERM

if ! run post "$lock?owner=$owner&wait=$wait&ttl=$ttl"; then
    case $(cat "$answer.log") in
        *" 409 "*) echo "$pool: busy" >&2; trap forget EXIT; exit 75 ;;
        *) cat "$answer.log" >&2; exit 69 ;;
    esac
fi
IFS= read -r LATCH_ID <"$answer"            # there is no line feed behind it
export LATCH_ID
run "$@"
