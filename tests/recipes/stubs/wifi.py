"""CircuitPython's module `wifi` on a computer: its radio is the computer's network."""

from adafruit_connection_manager import CPythonNetwork

radio = CPythonNetwork()
