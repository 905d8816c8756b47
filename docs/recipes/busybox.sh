#!/bin/sh
# A device with busybox alone: holds one resource for as long as it runs, and gives it back when it is stopped.
#
# One fixed request, repeated: it acquires, it renews, and after a reboot of the device or the server it
# comes back to the same resource. If the device is gone for good, its lease ends after ttl seconds.
lock="http://192.168.1.5:8081/pool/buckets/lock?owner=greenhouse-7"   # an owner that no other device is
every=30                    # seconds; ttl is three times that, so that one lost request costs nothing

trap 'exit 0' TERM INT
trap 'wget -q -O /dev/null --post-data "" "$lock&_method=DELETE"' EXIT   # it knows no DELETE
while :; do
    if bucket=$(wget -q -O - --post-data '' "$lock&ttl=90"); then
        echo "holding $bucket"
        # ... work with it, for less than $every seconds
    fi                      # or else wget has said why: "HTTP/1.1 409 busy"
    sleep "$every" & wait $!                                             # hears signals at once
done
