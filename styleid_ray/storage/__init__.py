"""Files anywhere: locations, secrets in them, listing, fetching, and writing whole files."""
