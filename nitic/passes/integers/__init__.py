"""From floats to integers: roundings, exponents, and the proof of their range."""
