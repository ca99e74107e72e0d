"""Keys of a vault: their life, their dates, and the order by which they rotate themselves."""
