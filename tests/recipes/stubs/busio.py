"""CircuitPython's module `busio` on a computer: a UART is the device that MODEM names."""

import os

import serial


class UART:
    def __init__(self, tx, rx, *, baudrate=9600, receiver_buffer_size=64):
        # The modem that is played keeps to the size of the buffer.
        assert receiver_buffer_size == 64, receiver_buffer_size
        self._port = serial.Serial(os.environ["MODEM"], timeout=1)
        self.baudrate = baudrate

    @property
    def in_waiting(self):
        return self._port.in_waiting

    def read(self, count):
        return self._port.read(count)

    def write(self, data):
        return self._port.write(data)

    def reset_input_buffer(self):
        self._port.reset_input_buffer()
