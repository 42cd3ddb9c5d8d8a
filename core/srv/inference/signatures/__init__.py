"""Predict by signature: arguments are inputs, what is returned is outputs, and the metadata follows from the hints."""

from srv.inference.signatures.arguments import Arguments
from srv.inference.signatures.errors import BadSignature
from srv.inference.signatures.returned import OUTPUT
from srv.inference.signatures.signature import Signature, read_signature

__all__ = ["OUTPUT", "Arguments", "BadSignature", "Signature", "read_signature"]
