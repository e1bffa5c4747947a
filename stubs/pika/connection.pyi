import ssl
from typing import Any

class SSLOptions:
    def __init__(self, context: ssl.SSLContext, server_hostname: str | None = None) -> None: ...

class Parameters:
    host: str
    ssl_options: SSLOptions | None
    heartbeat: int | None
    connection_attempts: int
    retry_delay: float
    socket_timeout: float | None
    stack_timeout: float | None
    blocked_connection_timeout: float | None
    client_properties: dict[str, Any] | None

class URLParameters(Parameters):
    def __init__(self, url: str) -> None: ...
