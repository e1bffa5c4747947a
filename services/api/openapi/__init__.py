"""The OpenAPI document, its schemas and examples."""
