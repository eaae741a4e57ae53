"""What is measured on a GPU, on a machine that need not have nitic."""
