"""Who may use the control plane: domains, users, groups, sessions, and what each may do."""
