"""The example site: one small app, `library`, and its background tasks."""
