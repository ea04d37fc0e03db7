"""Fill the library with the sample texts and pictures that come with the example."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management.base import BaseCommand

from library.models import Document, Picture


class Command(BaseCommand):
    """Load the samples that are not in the library yet; running it twice changes nothing."""

    help = "Loads the sample documents and pictures into the library."

    def handle(self, *args: Any, **options: Any) -> None:
        """Create a row for each sample file whose title is new."""
        samples: Path = settings.BASE_DIR / "samples"
        for path in sorted((samples / "texts").glob("*.txt")):
            if not Document.objects.filter(title=path.stem).exists():
                document = Document(title=path.stem)
                document.text.save(path.name, ContentFile(path.read_bytes()))
        for path in sorted((samples / "pictures").glob("*.png")):
            if not Picture.objects.filter(title=path.stem).exists():
                picture = Picture(title=path.stem)
                picture.image.save(path.name, ContentFile(path.read_bytes()))
        if options["verbosity"] > 0:
            self.stdout.write(
                f"The library holds {Document.objects.count()} documents "
                f"and {Picture.objects.count()} pictures."
            )
