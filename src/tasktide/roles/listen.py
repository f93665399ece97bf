"""Where a server listens: bound before anything else is started."""

import errno
import socket

from tasktide.wiring.embedded import CannotStart, keep_from_children


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; CannotStart when somebody else listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(4_096)
    except OSError as error:
        bound.close()
        variable = "PORT" if error.errno in {errno.EADDRINUSE, errno.EACCES} else "HOST"
        reason = error.strerror or error
        raise CannotStart(f"Cannot listen on {host}:{port}: {reason}. Set {variable} to another.") from None
    bound.setblocking(False)
    keep_from_children(bound)
    return bound
