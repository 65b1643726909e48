"""What is claimed about speed, measured: `make bench`. How to read it and what came out: docs/benchmarks.md."""
