"""Who may call: tenants, applications, signing keys, and the login host that gives out tokens."""
