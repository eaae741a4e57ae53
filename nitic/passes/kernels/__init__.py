"""From operators to kernels: groups, templates, layouts, calls, memory."""
