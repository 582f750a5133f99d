"""Files: safetensors, streamed and replaced as a whole; plain values and arrays in, plain values and arrays out."""

from ._file import FORMAT, OPTIMIZER, Checkpoint, opened, save
from ._safetensors import CheckpointError

__all__ = ["FORMAT", "OPTIMIZER", "Checkpoint", "CheckpointError", "opened", "save"]
