"""How a kernel becomes one of a GPU: threads, sums in parts, guessed shifts, CUDA C++."""
