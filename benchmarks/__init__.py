"""What docs/ says in figures, measured: `python -m benchmarks.FOLDER.SCRIPT`, in the repository's root.

Here lies what several folders share: networks in torch, and processes that are timed by turns.
"""
