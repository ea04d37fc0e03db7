"""What the library holds; every nullable column is filled in later by a background task."""

from django.db import models


def words_in(line: str) -> list[str]:
    """Return the words of a line in lower case, without punctuation."""
    stripped = (word.strip(".,;:!?'\"()").lower() for word in line.split())
    return [word for word in stripped if word]


class Document(models.Model):
    """A text file, its number of words and its rating."""

    title = models.CharField(max_length=200, unique=True)
    text = models.FileField(upload_to="texts")
    word_count = models.PositiveIntegerField(null=True, blank=True)
    rating = models.PositiveSmallIntegerField(null=True, blank=True)
    rating_requests = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        """Return the title."""
        return self.title

    def lines(self) -> list[str]:
        """Return the lines of the text."""
        with self.text.open("rb") as file:
            return file.read().decode("utf-8").splitlines()

    def words(self) -> list[str]:
        """Return the words of the text."""
        return [word for line in self.lines() for word in words_in(line)]


class Picture(models.Model):
    """An image and the small version of it."""

    title = models.CharField(max_length=200, unique=True)
    image = models.ImageField(upload_to="pictures")
    thumbnail = models.ImageField(upload_to="thumbnails", null=True, blank=True)

    def __str__(self) -> str:
        """Return the title."""
        return self.title


class Report(models.Model):
    """A text about the whole library, written by a task; saving one replaces its namesake."""

    name = models.CharField(max_length=200, primary_key=True)
    text = models.TextField()
    written_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        """Return the name."""
        return self.name
