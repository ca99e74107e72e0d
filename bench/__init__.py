"""Speed and memory of Claviger as ratios, measured in one run on one machine: `make bench`, or `python -m bench -h`.

Nothing here is a test: figures move with the machine and with what else runs on it. docs/benchmarks.md says how to
read them.
"""
