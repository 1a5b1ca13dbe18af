"""The slow, obvious version of every kernel; each test holds a fast one against its twin here."""
