"""One script for each writer, which runs in an environment of its own: the line `# requirements:` pins it.

A script imports the packages of its writer, NumPy, and benchmarks.zoo.writers.files.
"""
