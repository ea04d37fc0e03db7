"""Property tests without a stopwatch: the machine may be busy with other things."""

from hypothesis import settings

settings.register_profile("tests", deadline=None, database=None)
settings.load_profile("tests")
