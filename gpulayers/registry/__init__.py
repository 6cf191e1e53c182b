"""Names and objects: how classes and functions are found by name, and described for files.

Everything that a file or a string can name is one of our own public classes and functions, or
something that the caller registered.  Nothing here imports a module, or looks up an attribute,
by a name that came from outside.
"""

from .descriptions import (
    copying,
    deserialize,
    get,
    in_safe_mode,
    is_to_be_filled,
    loading,
    serialize,
    to_be_filled,
)
from .names import (
    MODULES,
    CustomObjectScope,
    UnknownNameError,
    custom_object_scope,
    exported,
    find,
    find_class,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    identity,
    register_keras_serializable,
    to_snake_case,
)

__all__ = [
    "MODULES",
    "CustomObjectScope",
    "UnknownNameError",
    "copying",
    "custom_object_scope",
    "deserialize",
    "exported",
    "find",
    "find_class",
    "get",
    "get_custom_objects",
    "get_registered_name",
    "get_registered_object",
    "identity",
    "in_safe_mode",
    "is_to_be_filled",
    "loading",
    "register_keras_serializable",
    "serialize",
    "to_be_filled",
    "to_snake_case",
]
