"""What the benchmarks share: cases, contenders, contests, timing, tables, and their command line."""
