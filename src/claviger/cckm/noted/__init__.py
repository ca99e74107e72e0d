"""Records of what a cloud has around its vaults, which admins list, read and remove."""
