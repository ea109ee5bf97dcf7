"""Length control of win rates, with a judge that likes length."""
