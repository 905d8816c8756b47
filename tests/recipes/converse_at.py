"""Holds the conversations of a document with a modem: converse_at.py FILE MODEM HOST PORT

In the blocks of FILE, `> ` is what is written to the serial port MODEM, and `< ` what has to come back, to
the byte. Nothing is read of an answer before all of it is there, so that it has to fit into the buffer of
the port. HOST and PORT take the place of the server that FILE names.
"""

import re
import sys
import time

import serial

path, modem, host, port = sys.argv[1:]
with open(path) as file:
    text = file.read()
# With the number of bytes replaced: the address is no part of the counted bytes.
named = '"192.168.1.5",8081'
assert named in text
text = text.replace(named, f'"{host}",{port}')
uart = serial.Serial(modem, timeout=0)
lines = 0
for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
    for line in block.splitlines():
        direction, shown = line[:2], line[2:]
        data = shown.encode().decode("unicode_escape").encode()
        lines += 1
        if direction == "> ":
            uart.write(data)
            continue
        assert direction == "< ", line
        assert len(data) <= 64, f"more than a serial buffer holds: {line}"
        end = time.monotonic() + 10
        while uart.in_waiting < len(data) and time.monotonic() < end:
            time.sleep(0.001)
        came = uart.read(uart.in_waiting)
        assert came == data, f"{shown}\nwas to come, and it was\n{came}"
print(lines, "lines")
