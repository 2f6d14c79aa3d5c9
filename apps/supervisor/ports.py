"""Listening sockets that are bound once, by the supervisor, and handed to those who serve on them."""

import errno
import socket

BACKLOG = 2048


class PortTaken(Exception):
    """A port that can't be listened on; the message names it, its use and the variable that changes it."""


def listen(host: str, port: int, *, use: str, variable: str) -> socket.socket:
    """A listening, inheritable TCP socket.

    ``use`` says what it is for ("the console") and ``variable`` which setting chooses another port. Raises ``PortTaken``.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Allows the port of an earlier run whose connections linger in TIME_WAIT, never one that is listened on.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"can't be used ({error.strerror})"
        raise PortTaken(f"Port {port} {reason}: {use} needs it. Free it, or choose another with {variable}=…") from None
    listener.set_inheritable(True)
    return listener
