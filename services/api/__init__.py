"""The REST API: translates HTTP to calls of the library, and decides nothing itself."""
