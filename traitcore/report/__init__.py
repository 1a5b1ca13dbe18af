"""A run as one HTML file for people: plain facts in, a page out. It knows no tables: `shop` collects the
facts."""
