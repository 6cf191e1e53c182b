"""`RemoteMonitor`: the metrics of every epoch sent to a server."""

from __future__ import annotations

import json
import warnings

import numpy as np

from .callback import Callback


class RemoteMonitor(Callback):
    """Sends the metrics of every epoch to a server by HTTP POST; warns if that fails.

    Args:
        root: the server's address.
        path: where on the server.
        field: the form field that holds the JSON text; not used with `send_as_json`.
        headers: HTTP headers, a dict.
        send_as_json: whether the request's body is the JSON text itself ("application/json").
    """

    TIMEOUT = 10.0  # Seconds: a server that hangs must not hold up training for ever.

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict | None = None,
        send_as_json: bool = False,
    ):
        super().__init__()
        if not root.startswith(("http://", "https://")):
            raise ValueError(f"RemoteMonitor: root must begin with http:// or https://: {root!r}.")
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json

    def on_epoch_end(self, epoch, logs=None):
        import urllib.error
        import urllib.parse
        import urllib.request

        values = {name: _plain(value) for name, value in (logs or {}).items()}
        text = json.dumps({"epoch": epoch, **values})
        if self.send_as_json:
            body, kind = text, "application/json"
        else:
            body = urllib.parse.urlencode({self.field: text})
            kind = "application/x-www-form-urlencoded"
        request = urllib.request.Request(
            self.root + self.path, body.encode(), {"Content-Type": kind, **(self.headers or {})}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.TIMEOUT):
                pass
        except (urllib.error.URLError, OSError) as error:
            warnings.warn(
                f"RemoteMonitor: could not reach the server at {self.root}: {error}", stacklevel=2
            )


def _plain(value):
    if hasattr(value, "shape"):
        return np.asarray(value).tolist()
    return value
