"""Search over everything that is under management: by words of names, tags and vaults, by clouds, states and dates."""
