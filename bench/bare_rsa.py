"""The bare rate of RSA-2048 signatures: one process that does nothing else, with the library that the product uses.

Run as a program of its own: `python -m bench.bare_rsa SECONDS`; prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import time

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

MESSAGE = b"x" * 100


def main() -> None:
    """Signs for so many seconds."""
    parser = argparse.ArgumentParser(prog="bench.bare_rsa")
    parser.add_argument("seconds", type=float)
    seconds: float = parser.parse_args().seconds
    key = rsa.generate_private_key(65_537, 2048)
    padding, digest = PKCS1v15(), SHA256()
    key.sign(MESSAGE, padding, digest)
    count = 0
    used, began = time.process_time(), time.perf_counter()
    while (lasted := time.perf_counter() - began) < seconds:
        for _ in range(50):
            key.sign(MESSAGE, padding, digest)
        count += 50
    used = time.process_time() - used
    print(json.dumps({"signatures": count, "seconds": lasted, "processor_us": used / count * 1e6}))


if __name__ == "__main__":
    main()
