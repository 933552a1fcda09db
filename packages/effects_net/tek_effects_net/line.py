"""Line: one TCP connection on which no operation outlasts its allowance, and which cancelling wakes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock

from tek_abi import TekError
from tek_effects_net.allowance import Allowance
from tek_kernel.effect import Cancel, EffectError


class Line:
    """A connection to the first of some addresses that answers, or ``accepted`` from someone who called.

    Whatever fails is an ``EffectError``. Used by one thread, or by one that reads and one that writes; ``cancel`` may
    come from any.
    """

    def __init__(self, allowance: Allowance, cancel: Cancel, accepted: socket.socket | None = None) -> None:
        self._allowance = allowance
        self._lock = Lock()
        self._socket = accepted
        self.wrote = False
        """Whether the peer may have seen some of what was written."""
        cancel.on_cancel(self.interrupt)

    def allow(self, allowance: Allowance) -> None:
        """Go on under another allowance."""
        self._allowance = allowance

    def connect(self, addresses: Sequence[str], port: int) -> str:
        """Connect to exactly one of ``addresses``, tried in order, and return it.

        Each gets an equal part of the time that is left, so that a silent one leaves some for the next.
        """
        for tried, address in enumerate(addresses):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                sock = self._hold(socket.socket(family, socket.SOCK_STREAM))
                sock.settimeout(self._allowance.seconds_left() / (len(addresses) - tried))
                sock.connect((address, port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                self.close()
                failure = self._failure(f"cannot connect to {address} port {port}", error)
                if tried == len(addresses) - 1:
                    raise failure from None
            else:
                return address
        raise EffectError("connection", "no address to connect to", self._allowance.usage)

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Turn the connection into TLS with a peer that proves to be ``host``."""
        plain = self._open()
        try:
            # A cut connection must not pass for the end of a body, so an end without close_notify is an error.
            secure = context.wrap_socket(
                plain, server_hostname=host, do_handshake_on_connect=False, suppress_ragged_eofs=False
            )
            self._hold(secure)
            secure.settimeout(self._allowance.seconds_left())
            secure.do_handshake()
        except OSError as error:
            raise self._failure(f"no TLS with {host}", error) from None

    def read(self, count: int) -> bytes:
        """Return up to ``count`` bytes as soon as there are some; none at the end."""
        sock = self._open()
        try:
            sock.settimeout(self._allowance.seconds_left())
            data = sock.recv(count)
        except ssl.SSLZeroReturnError:
            data = b""
        except OSError as error:
            raise self._failure("the connection broke", error) from None
        if not data:
            # An end that cancelling brought about is not the end of a body.
            self._allowance.check_cancelled()
        return data

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        sock = self._open()
        view = memoryview(data)
        self.wrote = True
        try:
            while view:
                sock.settimeout(self._allowance.seconds_left())
                view = view[sock.send(view) :]
        except OSError as error:
            raise self._failure("the connection broke", error) from None

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def end(self) -> None:
        """Tell the peer that nothing more is sent; it may still be read from."""
        with suppress(OSError):
            self._open().shutdown(socket.SHUT_WR)

    def interrupt(self) -> None:
        """Wake whoever reads or writes: the connection is over. Any thread may ask."""
        # The lock keeps the descriptor from being closed, and its number reused, in between. The plain socket's
        # shutdown, as that of TLS drops state which the other thread is using.
        with self._lock, suppress(OSError):
            if self._socket is not None:
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise EffectError("connection", "the connection is closed", self._allowance.usage)
        return self._socket

    def _hold(self, sock: socket.socket) -> socket.socket:
        with self._lock:
            self._socket = sock
        return sock

    def _failure(self, what: str, error: OSError) -> TekError:
        self._allowance.check_cancelled()
        if isinstance(error, TimeoutError) and error.errno is None:
            return self._allowance.late()
        code = "tls" if isinstance(error, ssl.SSLError) else "connection"
        reason = getattr(error, "verify_message", "") or error.strerror or str(error)
        return EffectError(code, f"{what}: {reason}", self._allowance.usage)
