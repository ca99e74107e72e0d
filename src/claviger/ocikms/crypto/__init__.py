"""The crypto plane of a vault: encrypt, decrypt, data keys, sign, verify, export."""
