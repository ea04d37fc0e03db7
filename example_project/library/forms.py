"""What visitors choose on the start page: some of the library, or a file of their own."""

from pathlib import Path
from typing import Any

from django import forms
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Model

from library.models import Document, Picture

LARGEST_BYTES = 5_000_000


class ChoiceForm(forms.Form):
    """Some rows, an upload, or both."""

    def clean(self) -> dict[str, Any]:
        """Refuse a form in which nothing was chosen."""
        cleaned = super().clean() or {}
        if not self.errors and not cleaned.get("chosen") and not cleaned.get("upload"):
            raise forms.ValidationError("Pick at least one, or choose a file of your own.")
        return cleaned

    def clean_upload(self) -> UploadedFile | None:
        """Refuse large files."""
        upload: UploadedFile | None = self.cleaned_data["upload"]
        if upload is not None and (upload.size or 0) > LARGEST_BYTES:
            raise forms.ValidationError(f"At most {LARGEST_BYTES // 1_000_000} MB, please.")
        return upload


class TextsForm(ChoiceForm):
    """Texts whose words are to be counted."""

    chosen = forms.ModelMultipleChoiceField(
        Document.objects.order_by("title"),
        required=False,
        label="Texts of the library",
        widget=forms.CheckboxSelectMultiple,
    )
    upload = forms.FileField(
        required=False,
        label="A text file of your own",
        widget=forms.ClearableFileInput(attrs={"accept": "text/plain,.txt,.md"}),
    )

    def clean_upload(self) -> UploadedFile | None:
        """Refuse what is not text."""
        upload = super().clean_upload()
        if upload is not None:
            try:
                upload.read().decode("utf-8")
            except UnicodeDecodeError:
                raise forms.ValidationError("That is no text in UTF-8.") from None
            upload.seek(0)
        return upload

    def documents(self) -> list[Document]:
        """Return what was chosen; an upload is in the library now."""
        documents = list(self.cleaned_data["chosen"])
        if upload := self.cleaned_data["upload"]:
            document = Document(title=free_title(Document, upload))
            # Under a name of our own: what a file is called decides how a browser treats it.
            document.text.save("upload.txt", ContentFile(upload.read()))
            documents.append(document)
        return documents


class PicturesForm(ChoiceForm):
    """Pictures that are to get small copies."""

    chosen = forms.ModelMultipleChoiceField(
        Picture.objects.order_by("title"),
        required=False,
        label="Pictures of the library",
        widget=forms.CheckboxSelectMultiple,
    )
    upload = forms.ImageField(required=False, label="A picture of your own")

    def pictures(self) -> list[Picture]:
        """Return what was chosen; an upload is in the library now."""
        pictures = list(self.cleaned_data["chosen"])
        if upload := self.cleaned_data["upload"]:
            picture = Picture(title=free_title(Picture, upload))
            picture.image.save(f"upload.{upload.image.format.lower()}", upload)
            pictures.append(picture)
        return pictures


def free_title(model: type[Model], upload: UploadedFile) -> str:
    """Return the name of a file, with a number where the library has that title."""
    title = Path(upload.name or "").stem[:150] or "upload"
    taken = set(model._default_manager.values_list("title", flat=True))
    numbered = (f"{title} {number}" for number in range(2, len(taken) + 3))
    return next(each for each in (title, *numbered) if each not in taken)
