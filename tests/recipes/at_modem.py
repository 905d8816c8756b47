"""Plays an ESP8266 with AT firmware, on a pseudo-terminal: at_modem.py LINK

LINK becomes a symbolic link to the terminal, behind which a program finds the modem. Connections that it
is told to make are real. The forms are those of esp-at in single-connection mode.

A microcontroller keeps 64 bytes of what it has not read yet, and loses the rest. So what comes by itself,
+IPD with all that the network brings at once, and CLOSED, is cut where more than 64 bytes would wait,
as for a program that does not read while it arrives. Answers to commands come as fast as they are
read: a program waits for those.

It does not know what is sent through it.
"""

import array
import fcntl
import os
import pty
import re
import select
import socket
import sys
import termios
import time
import tty

SERIAL_BUFFER = 64
# Longer than a program takes to read SEND OK, and no shorter than a packet takes to go and come back.
ROUND_TRIP_S = 0.02


class Modem:
    def __init__(self):
        self.terminal, self.program_side = pty.openpty()
        tty.setraw(self.program_side)
        self.typed = b""
        self.expected = 0  # bytes of data behind AT+CIPSEND
        self.echo = True
        self.is_joined = False
        self.connection = None

    def unread(self):
        """The number of bytes that the program has not read yet."""
        count = array.array("i", [0])
        fcntl.ioctl(self.program_side, termios.FIONREAD, count)
        return count[0]

    def say(self, text):
        """An answer, which the program waits for."""
        for byte in text:
            while self.unread() >= SERIAL_BUFFER:
                time.sleep(0.0005)
            os.write(self.terminal, bytes([byte]))

    def interject(self, text):
        """Sends unasked output, which is lost if there is no room for it."""
        room = SERIAL_BUFFER - self.unread()
        if len(text) > room:
            print(f"lost {text[room:]!r}", file=sys.stderr, flush=True)
        os.write(self.terminal, text[:room])

    def run(self):
        while True:
            sources = [self.terminal] + ([self.connection] if self.connection else [])
            ready, _, _ = select.select(sources, [], [])
            if self.terminal in ready:
                self.typed += os.read(self.terminal, 1024)
                self.work()
            elif self.connection in ready:
                self.receive()

    def work(self):
        """Takes the complete data or command lines that the program has written."""
        while True:
            if self.expected:
                if len(self.typed) < self.expected:
                    return
                data, self.typed = self.typed[: self.expected], self.typed[self.expected :]
                self.expected = 0
                self.send(data)
                continue
            line, end, rest = self.typed.partition(b"\r\n")
            if not end:
                return
            self.typed = rest
            if line:
                self.obey(line)

    def obey(self, line):
        if self.echo:
            self.say(line + b"\r\n")
        start = re.fullmatch(rb'AT\+CIPSTART="TCP","([^"]+)",(\d+)(,\d+)?', line)
        send = re.fullmatch(rb"AT\+CIPSEND=(\d+)", line)
        if start:
            self.connect(start[1].decode(), int(start[2]))
        elif send and self.connection:
            self.expected = int(send[1])
            self.say(b"\r\nOK\r\n\r\n>")
        elif send:
            self.say(b"link is not valid\r\n\r\nERROR\r\n")
        elif line == b"AT+CIPCLOSE" and self.connection:
            self.close()
            self.say(b"CLOSED\r\n\r\nOK\r\n")
        elif line in (b"ATE0", b"ATE1"):
            self.echo = line == b"ATE1"
            self.say(b"\r\nOK\r\n")
        elif line.startswith(b"AT+CWJAP="):
            self.is_joined = True
            self.say(b"WIFI CONNECTED\r\nWIFI GOT IP\r\n\r\nOK\r\n")
        elif line.startswith(b"AT+UART_CUR="):
            self.say(b"\r\nOK\r\n")
        elif line in self.ALWAYS:
            self.say(self.ALWAYS[line] + b"\r\nOK\r\n")
        elif line == b"AT+CWSTATE?":
            self.say(b'+CWSTATE:%d,"greenhouse"\r\n\r\nOK\r\n' % (2 if self.is_joined else 0))
        elif line == b"AT+CIPSTATE?":
            state = b'+CIPSTATE:0,"TCP","192.168.1.5",8081,50000,0\r\n' if self.connection else b""
            self.say(state + b"\r\nOK\r\n")
        else:
            self.say(b"\r\nERROR\r\n")

    ALWAYS = {
        b"AT": b"",
        b"AT+CWMODE=1": b"",
        b"AT+CWMODE?": b"+CWMODE:1\r\n",
        b"AT+CIPMUX=0": b"",
        b"AT+CIPMUX?": b"+CIPMUX:0\r\n",
        b"AT+CIPSSLCCONF?": b"+CIPSSLCCONF:0\r\n",
        b"AT+CIFSR": b'+CIFSR:STAIP,"192.168.1.7"\r\n',
        b"AT+GMR": b"AT version:2.2.0.0(played)\r\n",
    }

    def connect(self, host, port):
        if self.connection:
            self.say(b"ALREADY CONNECTED\r\n\r\nERROR\r\n")
            return
        try:
            self.connection = socket.create_connection((host, port), timeout=5)
        except OSError:
            self.say(b"\r\nERROR\r\nCLOSED\r\n")
            return
        self.say(b"CONNECT\r\n\r\nOK\r\n")

    def send(self, data):
        self.say(b"\r\nRecv %d bytes\r\n" % len(data))
        try:
            self.connection.sendall(data)
        except OSError:
            self.say(b"\r\nSEND FAIL\r\n")
            return
        self.say(b"\r\nSEND OK\r\n")
        while self.unread():
            time.sleep(0.0005)
        time.sleep(ROUND_TRIP_S)

    def receive(self):
        """One segment is one +IPD."""
        try:
            data = self.connection.recv(1460)
        except OSError:
            data = b""
        if data:
            self.interject(b"\r\n+IPD,%d:" % len(data) + data)
        else:
            self.close()
            self.interject(b"CLOSED\r\n")

    def close(self):
        self.connection.close()
        self.connection = None


modem = Modem()
link = sys.argv[1]
os.symlink(os.ttyname(modem.program_side), link + ".new")
os.rename(link + ".new", link)
modem.run()
