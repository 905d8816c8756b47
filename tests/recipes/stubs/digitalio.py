"""CircuitPython's module `digitalio`, for a modem of which no pin is wired."""


class DigitalInOut:
    pass


class Direction:
    pass
