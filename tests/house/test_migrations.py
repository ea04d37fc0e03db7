import pytest

from tests.process import django_process


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("auto_field", [None, "AutoField", "BigAutoField", "SmallAutoField"])
def test_makemigrations_finds_nothing_whatever_the_default_auto_field(auto_field):
    settings = {"DEFAULT_AUTO_FIELD": f"django.db.models.{auto_field}"} if auto_field else {}
    arguments = ("makemigrations", "--check", "--dry-run", "background_task")
    with django_process(*arguments, settings=settings) as process:
        assert process.wait() == 0, process.output
        assert "No changes detected in app 'background_task'" in process.output
