"""CircuitPython's module `board`, for a board whose only pins are those of its serial port."""

TX, RX = "TX", "RX"
