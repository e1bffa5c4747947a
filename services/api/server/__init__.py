"""The server: one loop holds all connections, threads compute answers."""
