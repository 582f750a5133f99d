"""What test_bench.py still imports by the old name."""

from oracle import assert_same_bits, reference_run

__all__ = ["assert_same_bits", "reference_run"]
