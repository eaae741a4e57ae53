"""What lies on disk for GPUs: fat binaries, launch tables, and the part of program.c that holds both."""
