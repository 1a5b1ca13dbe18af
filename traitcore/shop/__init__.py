"""A shop's tables asked by ids and texts, whether just fitted or published."""
