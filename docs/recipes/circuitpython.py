# CircuitPython with built-in Wi-Fi: holds one resource for as long as the device runs. Wants no library.
#
# One fixed line, repeated, is all there is to it: it acquires, it renews, and after a reboot of the device
# or the server it comes back to the same resource. If the device is gone for good, its lease ends after
# ttl seconds. The socket stays open, so that an ask is three packets.
#
# A device that sleeps calls ask() when it wakes, and leases for longer than it sleeps, such as
# ttl=1800 for ten minutes: its owner gets the same resource again.
import time

import socketpool
import wifi

HOST, PORT = "192.168.1.5", 8081
LOCK = "/pool/buckets/lock?owner=greenhouse-7"  # an owner that no other device is
EVERY = 30  # seconds; ttl is three times that, so that one lost request costs nothing

sockets = socketpool.SocketPool(wifi.radio)
link = None  # the socket, while it is open
room = bytearray(128)


def hang_up():
    global link
    if link:
        link.close()
    link = None


def exchange(line):
    global link
    if not link:
        link = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM)
        link.settimeout(10)
        link.connect((HOST, PORT))
    link.send(line)
    answer = b""
    while not answer.endswith(b"\n"):
        count = link.recv_into(room)
        if count == 0:
            raise OSError("the server has closed the connection")
        answer += room[:count]
    return answer


def ask(line):
    """The answer's body, or None with a line that says why."""
    was_open = link is not None
    try:
        answer = exchange(line.encode() + b"\n")
    except OSError as error:
        hang_up()
        if was_open:  # the server may have restarted: once more, over a new socket
            return ask(line)
        print("no server:", error)
        return None
    status, _, body = answer.decode().strip().partition(" ")
    if status == "200":
        return body
    print("not now:", status, body)  # 409 busy, 404 no pool, ...
    return None


try:
    while True:
        bucket = ask("POST " + LOCK + "&ttl=90")
        if bucket is not None:
            print("holding", bucket)
            # ... work with it, for less than EVERY seconds
        time.sleep(EVERY)
finally:
    hang_up()  # stopped by hand, perhaps in the middle of an answer
    ask("DELETE " + LOCK)  # gives back what it holds
