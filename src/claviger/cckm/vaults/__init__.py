"""What managed vaults of all clouds share."""
