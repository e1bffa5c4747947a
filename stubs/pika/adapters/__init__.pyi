from . import blocking_connection as blocking_connection
from . import select_connection as select_connection
