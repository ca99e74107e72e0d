"""Groups of a domain, and who is in them."""
