"""3. What an item means: sequences in, item vectors out."""
