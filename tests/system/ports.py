"""TCP ports for servers of tests."""

import random
import socket


def free_port(*hosts):
    """One that nobody has on any of these addresses (127.0.0.1).

    Below those that the kernel gives to outgoing connections: one of another
    test might take it before it is bound.
    """
    while True:
        port = random.randrange(10000, 32000)
        if all(_is_free(host, port) for host in hosts or ("127.0.0.1",)):
            return port


def _is_free(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        try:
            s.bind((host, port))
        except OSError:
            return False
    return True
