"""Optional apps, each with an extra of its own."""
