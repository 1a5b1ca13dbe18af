"""4. What a customer is like: sequences and vectors in, readable traits out."""
