"""Who may do what: accounts, sessions, tokens, permissions, and the log of looks."""
