# CircuitPython with an ESP8266 or ESP32 as its modem: holds one resource for as long as the device runs.
# Wants adafruit_espatcontrol (circup install adafruit_espatcontrol).
#
# It sends a line instead of HTTP: `POST /pool/buckets/lock?...` and a line feed is the whole request,
# and `200 4` and a line feed the whole answer, which as +IPD fits into any serial buffer. The socket stays open, so
# that an ask is three packets.
#
# A device that sleeps calls ask() when it wakes, and leases for longer than it sleeps, such as
# ttl=1800 for ten minutes: its owner gets the same resource again.
import time

import board
import busio
from adafruit_espatcontrol.adafruit_espatcontrol import ESP_ATcontrol, OKError

HOST, PORT = "192.168.1.5", 8081
WIFI = {"ssid": "greenhouse", "password": "tomatoes"}
LOCK = "/pool/buckets/lock?owner=greenhouse-7"  # an owner that no other device is
EVERY = 30  # seconds; ttl is three times that, so that one lost request costs nothing

uart = busio.UART(board.TX, board.RX, receiver_buffer_size=64)
modem = ESP_ATcontrol(uart, 115200)


def ask(line):
    """Status and body of the answer: 200 and "4", 409 and "busy"; 0 where there is none."""
    try:
        if not modem.is_connected:
            modem.connect(WIFI)
        is_open = modem.status == modem.STATUS_SOCKETOPEN
        if not is_open and not modem.socket_connect("TCP", HOST, PORT):
            return 0, "no server"
        modem.socket_send(line.encode() + b"\n")
        answer = modem.socket_receive(timeout=5).decode()
        if not answer.endswith("\n"):
            modem.socket_disconnect()
            return 0, "no answer"
    except (OKError, RuntimeError) as error:
        return 0, str(error)
    status, _, body = answer.rstrip("\n").partition(" ")
    return int(status or 0), body


try:
    while True:
        status, bucket = ask("POST " + LOCK + "&ttl=90")
        if status == 200:
            print("holding", bucket)
            # ... work with it, for less than EVERY seconds
        else:
            print("not now:", status, bucket)
        time.sleep(EVERY)
finally:
    modem.socket_disconnect()  # what it asked last may be unanswered
    ask("DELETE " + LOCK)  # stopped by hand: gives back what it holds
