"""Keys of our own: made or imported here, to be uploaded to clouds."""
