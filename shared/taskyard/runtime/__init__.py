"""What processes are built of: loops and how they stop, batches across threads, TLS, hosts."""
