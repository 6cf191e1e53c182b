"""Files that layers keep beside their weights, such as vocabularies.

They stand in `assets/`, in a folder under the path that the layer has in the file of weights.
"""

from __future__ import annotations

import os
import re
import tempfile

from .weights import walk

_NAME = re.compile(r"\w[\w.-]*")


def saved_assets(model) -> dict[str, bytes]:
    """What the layers of a model write by `save_assets`: contents by the names of members."""
    found = {}
    for place, part in _parts(model, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            part.save_assets(folder)
            for name in sorted(os.listdir(folder)):
                with open(os.path.join(folder, name), "rb") as file:
                    found[f"{place}/{name}"] = file.read()
    return found


def load_assets(model, stored) -> None:
    """Let the layers of a model read their files.

    Args:
        model: a model.
        stored: an `Archive` or `Folder`.
    """
    for place, part in _parts(model, "load_assets") if stored.has_assets() else ():
        contents = stored.assets(place)
        if not contents:
            continue
        with tempfile.TemporaryDirectory() as folder:
            for name, content in contents.items():
                if not _NAME.fullmatch(name):  # It could lead out of the folder.
                    raise ValueError(f"{place}/{name} is no name of a file of a layer.")
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(content)
            part.load_assets(folder)


def _parts(model, method):
    for path, part in walk(model):
        if hasattr(part, method):
            yield (f"assets/{path}" if path else "assets"), part
