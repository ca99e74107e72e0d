"""Resource groups: names under which vaults are kept together, as far as management clients need them."""
