"""A TLS 1.3 client that says what no ordinary one says: key updates by the thousand, records of a byte each. OpenSSL by
hand, for Python's own module has no words for these."""

import ctypes
import ctypes.util
import socket

_ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))


def _function(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments
    return function


_pointer, _int, _long, _text = ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p
_context_new = _function(_ssl, "SSL_CTX_new", _pointer, _pointer)
_client_method = _function(_ssl, "TLS_client_method", _pointer)
_context_free = _function(_ssl, "SSL_CTX_free", None, _pointer)
_new = _function(_ssl, "SSL_new", _pointer, _pointer)
_free = _function(_ssl, "SSL_free", None, _pointer)
_ctrl = _function(_ssl, "SSL_ctrl", _long, _pointer, _int, _long, _text)
_set_bio = _function(_ssl, "SSL_set_bio", None, _pointer, _pointer, _pointer)
_connect = _function(_ssl, "SSL_connect", _int, _pointer)
_handshake = _function(_ssl, "SSL_do_handshake", _int, _pointer)
_key_update = _function(_ssl, "SSL_key_update", _int, _pointer, _int)
_write = _function(_ssl, "SSL_write", _int, _pointer, _text, _int)
_read = _function(_ssl, "SSL_read", _int, _pointer, _pointer, _int)
_memory = _function(_crypto, "BIO_s_mem", _pointer)
_bio_new = _function(_crypto, "BIO_new", _pointer, _pointer)
_bio_read = _function(_crypto, "BIO_read", _int, _pointer, _pointer, _int)
_bio_write = _function(_crypto, "BIO_write", _int, _pointer, _text, _int)

_SET_SERVER_NAME = 55


class Messages:
    """A connection whose handshake is done. The methods give bytes for the socket; `receive` reads from it."""

    def __init__(self, port, name, timeout=10, first=()):
        """`first` is data that leaves with the end of the handshake, each piece in a record of its own."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._room = ctypes.create_string_buffer(1 << 16)
        self._context = _context_new(_client_method())
        self._ssl = _new(self._context)
        self._in, self._out = _bio_new(_memory()), _bio_new(_memory())
        _set_bio(self._ssl, self._in, self._out)
        _ctrl(self._ssl, _SET_SERVER_NAME, 0, name.encode())
        while _connect(self._ssl) != 1:
            self.socket.sendall(self._produced())
            got = self.socket.recv(65536)
            if not got:
                raise ConnectionError("the server ended the handshake")
            _bio_write(self._in, got, len(got))
        self.socket.sendall(self._produced() + self.data(*first))

    def close(self):
        self.socket.close()
        if self._ssl:
            _free(self._ssl)
            _context_free(self._context)
            self._ssl = None

    def _produced(self):
        all = b""
        while (count := _bio_read(self._out, self._room, len(self._room))) > 0:
            all += ctypes.string_at(self._room, count)
        return all

    def key_updates(self, count, wants_answer=True):
        """RFC 8446 section 4.6.3."""
        for _ in range(count):
            _key_update(self._ssl, 1 if wants_answer else 0)
            _handshake(self._ssl)
        return self._produced()

    def data(self, *pieces):
        """Each piece in a record of its own."""
        for piece in pieces:
            _write(self._ssl, piece, len(piece))
        return self._produced()

    def receive(self):
        """What the server sends next, in clear; b"" when it has ended the connection."""
        room = ctypes.create_string_buffer(65536)
        while (count := _read(self._ssl, room, len(room))) <= 0:
            got = self.socket.recv(65536)
            if not got:
                return b""
            _bio_write(self._in, got, len(got))
        return room.raw[:count]
