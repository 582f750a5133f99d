"""Files: safetensors, streamed and replaced as a whole; plain values and arrays in, plain values and arrays out."""

from ._file import FORMAT, WHOLE, Checkpoint, opened, save
from ._safetensors import CheckpointError

__all__ = ["FORMAT", "WHOLE", "Checkpoint", "CheckpointError", "opened", "save"]
