"""The `claviger` command: thin commands over the object graph of `bootstrap.py`; `main.py` lists them all."""
