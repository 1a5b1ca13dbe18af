"""1. What happened: an event log in, token sequences out."""
