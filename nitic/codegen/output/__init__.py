"""What lies on disk: objects, the cache, tables in C, the linked binary."""
