"""The joint recipe, the default before "spectral": customers, session windows and PPMI rows factored together."""
