"""5. What other systems read: tables, neighbours, recommendations, live state."""
