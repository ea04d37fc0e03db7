"""Somebody who may see the dashboard, and rows for it to show."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from background_task.dashboard import Choice, NoLinks, assemble, read
from background_task.store import get_store, task_database
from background_task.store.rollups import Rollups
from tests.dashboard.values import tally


@pytest.fixture
def url():
    return reverse("admin:background_task_dashboard_changelist")


@pytest.fixture
def staff(db, django_user_model):
    """A function that returns the client of a member of the staff who has these permissions."""

    def staff(*permissions):
        user = django_user_model.objects.create_user("member", is_staff=True)
        found = Permission.objects.filter(
            content_type__app_label="background_task", codename__in=permissions
        )
        assert len(found) == len(permissions)
        user.user_permissions.set(found)
        client = Client()
        client.force_login(user)
        return client

    return staff


@pytest.fixture
def happened(db):
    """A function that adds what workers would have counted."""

    def happened(name="shop.tasks.send", queue=None, *, ago=None, **values):
        now = timezone.now() - ago if ago else timezone.now()
        Rollups(task_database()).add({(name, queue): tally(**values)}, now=now)

    return happened


@pytest.fixture
def make_page(db):
    """A function that returns the page of a query, as values."""

    def make_page(**query):
        choice = Choice.read(query)
        return assemble(read(task_database(), choice), choice, NoLinks())

    return make_page


@pytest.fixture
def show(url, admin_client):
    """A function that returns the page of a query, as HTML."""

    def show(**query):
        response = admin_client.get(url, query)
        assert response.status_code == 200
        return response.content.decode()

    return show


@pytest.fixture
def store(db):
    return get_store()
