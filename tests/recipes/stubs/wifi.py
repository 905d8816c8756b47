"""CircuitPython's module `wifi` on a computer: its radio is the computer's network."""

radio = object()
