"""CircuitPython's module `socketpool` on a computer: its sockets can do no more than a board's."""

import socket


class SocketPool:
    AF_INET = socket.AF_INET
    SOCK_STREAM = socket.SOCK_STREAM

    def __init__(self, radio):
        self._radio = radio

    def socket(self, family, kind):
        return _Socket(socket.socket(family, kind))


class _Socket:
    def __init__(self, real):
        self.settimeout = real.settimeout
        self.connect = real.connect
        self.send = real.send
        self.recv_into = real.recv_into
        self.close = real.close
