"""Starts the installed PrusaLink for a test and keeps it to this machine.

Three things differ from `python -m prusa.link`: nothing is announced by mDNS and no connection leaves the loopback; a
directory under /tmp is allowed, because a clone of this project may lie there; and the process ends with its standard
input, so that a killed test leaves nothing behind.
"""

import ipaddress
import os
import runpy
import socket
import sys
import threading

import zeroconf


class Silent:
    """Stands in for the mDNS responder."""

    def __init__(self, *_arguments, **_options):
        pass

    def register_service(self, *_arguments, **_options):
        """Announces nothing."""

    def unregister_all_services(self):
        """Has announced nothing."""


LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def guarded(original):
    """Lets calls through whose last argument is an address on this machine."""

    def call(self, *arguments):
        *others, address = arguments
        if self.family in LOOPBACK:
            host = address[0]
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                # PrusaLink learns its own address by connecting a datagram socket, which sends nothing.
                if original is not CONNECT or self.type != socket.SOCK_DGRAM:
                    raise OSError(f"a test does not talk to {host}")
                address = (LOOPBACK[self.family], address[1])
        return original(self, *others, address)

    return call


def end_with_input():
    """Ends the process when whoever started it is gone."""
    while sys.stdin.buffer.read(1024):
        pass
    os._exit(0)


CONNECT = socket.socket.connect
zeroconf.Zeroconf = Silent
socket.socket.connect = guarded(CONNECT)
socket.socket.connect_ex = guarded(socket.socket.connect_ex)
socket.socket.sendto = guarded(socket.socket.sendto)
threading.Thread(target=end_with_input, name="input", daemon=True).start()

import prusa.link.const  # noqa: E402 the stand-ins must be there first

prusa.link.const.BLACKLISTED_PATHS.remove("/tmp")
runpy.run_module("prusa.link", run_name="__main__", alter_sys=True)
