"""The scope extension `estiva.pass`: the end of a response body comes from another socket.

The message `{"type": EXTENSION, "source": descriptor, "count": n}` has the server send the next `n` bytes that arrive
on that socket, which must not block, as the last of a body whose length was announced. When `send` returns, `count` is
how many were sent, and `failure` says why the socket gave no more: then the rest may come as `http.response.body`, but
what was read from the socket and not sent is lost. Fewer bytes and no failure: the client has gone.
"""

EXTENSION = "estiva.pass"
