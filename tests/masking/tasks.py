"""What these tests call. Not registered among the tasks of other tests' workers by any of them."""

from background_task import background
from background_task.backends import task


@background
def sign_in(user, password, *codes, **secrets):
    return [user, password]


@background
def post(url, payload=None):
    return payload


@background(sensitive=True)
def pay(card, amount=0):
    return {"card": card}


@task
def sign_up(user, password):
    return user


@task(sensitive=True)
def charge(card):
    return card


@background
def fail(user, password):
    raise RuntimeError("it failed")


def looking():
    """Replaced by a test."""


@background
def look(password):
    looking()
