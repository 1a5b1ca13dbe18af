"""2. Linear algebra: sparse products, the truncated SVD, non-negative factorization."""
