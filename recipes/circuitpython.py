# CircuitPython with built-in Wi-Fi: holds one resource for as long as the device runs.
# Wants adafruit_requests and adafruit_connection_manager (circup install adafruit_requests).
#
# One fixed request, repeated: it acquires, it renews, and after a reboot of the device or the server it
# comes back to the same resource. If the device is gone for good, its lease ends after ttl seconds.
import time

import adafruit_connection_manager
import adafruit_requests
import wifi

POOL = "http://192.168.1.5:8081/pool/buckets/lock"
OWNER = "greenhouse-7"  # a name that no other device has
EVERY = 30  # seconds; ttl is three times that, so that one lost request costs nothing

sockets = adafruit_connection_manager.get_radio_socketpool(wifi.radio)
session = adafruit_requests.Session(sockets)


def ask(method, query):
    """The answer's body, or None with a line that says why."""
    try:
        with session.request(method, POOL + "?owner=" + OWNER + query, timeout=10) as answer:
            if answer.status_code == 200:
                return answer.text
            print("not now:", answer.text)  # busy, no pool, ...
    except (OSError, RuntimeError, adafruit_requests.OutOfRetries) as error:
        print("no server:", error)
    return None


try:
    while True:
        bucket = ask("POST", "&ttl=90")
        if bucket is not None:
            print("holding", bucket)
            # ... work with it, for less than EVERY seconds
        time.sleep(EVERY)
finally:
    # Stopped by hand, perhaps in the middle of a request: gives back what it holds.
    adafruit_connection_manager.connection_manager_close_all(sockets)
    ask("DELETE", "")
