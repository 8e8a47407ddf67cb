"""Published models of others: which are known, how they come onto this machine, and where they lie there."""
