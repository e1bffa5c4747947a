"""The part of pika 1.4 that taskyard and its tests call, with precise types."""

from . import adapters as adapters
from . import data as data
from . import exceptions as exceptions
from . import frame as frame
from . import spec as spec
from .adapters.blocking_connection import BlockingConnection as BlockingConnection
from .adapters.select_connection import SelectConnection as SelectConnection
from .connection import SSLOptions as SSLOptions
from .connection import URLParameters as URLParameters
from .spec import BasicProperties as BasicProperties
