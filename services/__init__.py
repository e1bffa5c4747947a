"""The services; each is started with `python -m services.<name>` and knows nothing of the others."""
