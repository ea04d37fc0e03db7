"""Tasks that go wrong on purpose, to see what becomes of them."""
