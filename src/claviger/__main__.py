"""`python -m claviger` is the `claviger` command."""

from claviger.cli.main import main

if __name__ == "__main__":
    main()
