# MicroPython (ESP32, ESP8266, Pico W): holds one resource for as long as the device runs.
#
# One fixed request, repeated, is all there is to it: it acquires, it renews, and after a reboot of the
# device or the server it comes back to the same resource. If the device is gone for good, its lease ends
# after ttl seconds.
import time

import requests  # urequests, where the firmware is older than 1.20

POOL = "http://192.168.1.5:8081/pool/buckets/lock"
OWNER = "greenhouse-7"  # a name that no other device has
EVERY = 30  # seconds; ttl is three times that, so that one lost request costs nothing


def ask(method, query):
    """The answer's body, or None with a line that says why."""
    try:
        answer = requests.request(method, POOL + "?owner=" + OWNER + query, timeout=10)
    except OSError as error:
        print("no server:", error)
        return None
    try:
        if answer.status_code == 200:
            return answer.text
        print("not now:", answer.text)  # busy, no pool, ...
        return None
    finally:
        answer.close()  # sockets are few


try:
    while True:
        bucket = ask("POST", "&ttl=90")
        if bucket is not None:
            print("holding", bucket)
            # ... work with it, for less than EVERY seconds
        time.sleep(EVERY)
finally:
    ask("DELETE", "")  # stopped by hand: gives back what it holds
