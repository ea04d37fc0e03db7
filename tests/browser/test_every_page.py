"""Every page of the admin, in light and dark, with rows that are what attackers might write.

Each must be accessible, must keep to the policy of the site, and must run nothing of a row.
"""

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.urls import reverse

from tests.browser.accessibility import check_accessibility
from tests.browser.kit import expect
from tests.browser.rows import one_of_each

UNFOLD = "document.querySelectorAll('details').forEach(fold => { fold.open = true })"


#: Pages that are Django's own, colours and all.
OF_DJANGO = ("_add", "_delete", "_history")
MODELS = [model for model in admin.site._registry if model._meta.app_label == "background_task"]


def addresses(model):
    """The name and address of all pages of a model, with a row where one is needed."""
    row = one_of_each().get(model._meta.model_name)
    for pattern in admin.site._registry[model].get_urls():
        needed = getattr(pattern.pattern, "converters", {})
        if pattern.name and (row or "object_id" not in needed):
            values = {"object_id": row and quote(row.pk), "name": "cancel_tasks"}
            kwargs = {key: values[key] for key in needed}
            yield pattern.name, reverse(f"admin:{pattern.name}", kwargs=kwargs)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.model_name)
def test_page_is_accessible_and_runs_nothing_of_a_row(
    admin_page, dark_page, admin_user, watch, client, model
):
    client.force_login(admin_user)
    pages = dict(addresses(model))
    assert f"background_task_{model._meta.model_name}_changelist" in pages

    for name, address in pages.items():
        if client.get(address).status_code != 200:
            continue  # it is only posted to, or nobody has the right
        look(admin_page, address)
        # A page of its own: when a page changes its colours, links take some time for it.
        if not name.endswith(OF_DJANGO):
            look(dark_page, address, only=["color-contrast"])
        assert watch.problems() == [], address


def look(page, address, only=None):
    page.goto(address)
    page.evaluate(UNFOLD)
    check_accessibility(page, only=only)


def test_overview_is_accessible(admin_page):
    look(admin_page, reverse("admin:app_list", args=["background_task"]))


def test_page_of_somebody_without_rights_is_refused(open_page, django_user_model, watch):
    nobody = django_user_model.objects.create_user("nobody", is_staff=True)
    page = open_page(user=nobody)
    watch.allow("403")

    page.goto(reverse("admin:background_task_task_changelist"))

    expect(page.get_by_role("heading", level=1).last).to_contain_text("403")
    check_accessibility(page)
