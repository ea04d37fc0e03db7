"""Model instances as arguments: a row holds where they are, not what they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Model, QuerySet

from ..exceptions import InvalidOptionError, InvalidPayloadError


class VanishedInstanceError(InvalidPayloadError):
    """A model instance among a row's arguments is no longer in the database."""


@dataclass(frozen=True, slots=True, repr=False)
class InstanceReference:
    """A model instance by its address.

    It may be passed to a task in place of the instance: the call is the same.

    Attributes:
        label: App and model, such as ``shop.order``.
        key: The primary key.
        using: The alias of the database that holds it.
    """

    label: str
    key: Any
    using: str

    def __post_init__(self) -> None:
        texts: tuple[Any, ...] = (self.label, self.using)
        if not all(isinstance(text, str) for text in texts):  # it may come from a row
            raise TypeError("a model and a database are named by text")

    def __repr__(self) -> str:
        place = "" if self.using == DEFAULT_DB_ALIAS else f" in {self.using!r}"
        return f"<{self.label} {self.key!r}{place}>"

    @classmethod
    def of(cls, instance: Model) -> InstanceReference:
        """Return the address of a saved instance; asks no database.

        Raises:
            InvalidOptionError: The instance has not been saved.
        """
        # The key proves nothing: a UUID is there before the row is.
        if instance._state.adding or instance.pk is None:
            # Not its repr: the __str__ of many models fails before they are saved.
            raise InvalidOptionError(
                f"an argument, a {instance._meta.label}, is not in the database, "
                "where the task would look for it; save it first"
            )
        # Equal instances have equal addresses: of those made with pk="7" and 7, and of those read
        # from the primary and from one of its replicas, which may lag behind when the task runs.
        key = instance._meta.pk.get_prep_value(instance.pk)
        using = router.db_for_write(instance.__class__, instance=instance)
        return cls(instance._meta.label_lower, key, using)

    def load(self) -> Model:
        """Read the instance, with one query by the model's base manager.

        Raises:
            VanishedInstanceError: It is not there.
            InvalidPayloadError: There is no such model or database, or the key is none of it.
        """
        try:
            model = apps.get_model(self.label)
            if self.using not in connections:
                raise LookupError(f"no database is called {self.using!r}")
            found: QuerySet[Model] = model._base_manager.using(self.using).filter(pk=self.key)
        except (LookupError, TypeError, ValueError, ValidationError) as error:
            raise InvalidPayloadError(
                f"the argument {self!r} cannot be read ({error}); "
                "correct the row, or delete it and schedule the task again"
            ) from error
        try:
            return found.get()
        except ObjectDoesNotExist:
            raise VanishedInstanceError(
                f"the argument {self!r} is no longer in the database {self.using!r}, and the task "
                "cannot run without it; pass its primary key where a task should see to that"
            ) from None


def has_references(*containers: Any) -> bool:
    """Tell whether there are references in what was read from a row."""
    return any(True for _ in _places(containers))


def load_references(*containers: Any) -> None:
    """Put instances in the place of all references in what was read from a row."""
    for holder, place, reference in list(_places(containers)):
        holder[place] = reference.load()


def _places(containers: tuple[Any, ...]) -> Any:
    """Yield where references are; arguments may be nested more deeply than calls may be."""
    waiting: list[Any] = list(containers)
    while waiting:
        holder = waiting.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for place, value in items:
            if isinstance(value, InstanceReference):
                yield holder, place, value
            elif isinstance(value, (list, dict)):
                waiting.append(value)
