"""One module per chapter of the catalogue; each cause is a rule with what people read about it."""
