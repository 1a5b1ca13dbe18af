"""A run as one HTML file for people: plain facts in, a page out. It asks no tables; `shop.survey` collects the facts."""
