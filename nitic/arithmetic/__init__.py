"""What every number means: integer formulas in NumPy, exact, the same on all targets."""
