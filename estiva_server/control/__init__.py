"""/api/v1/: managing who there is and what they may do. JSON in, JSON out; a username and a password, no tokens."""
