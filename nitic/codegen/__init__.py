"""From groups of operators to machine code."""
