"""`python -m claviger` is the `claviger` command.

Loading its modules makes many objects and next to no garbage, so nothing is collected meanwhile, nor looked at later.
"""

import gc

if __name__ == "__main__":
    gc.disable()
    from claviger.cli.main import main

    gc.freeze()
    gc.enable()
    main()
