"""Tasks of Django's own framework: an app that knows nothing of what runs them.

It was written for ``django.tasks`` as such, and runs with other backends, too. Which one it is
stands in ``TASKS`` in the settings, and nowhere else.
"""

import asyncio

try:
    from django.tasks import task
except ImportError:  # before Django 6.0
    from django_tasks import task


@task
def write(name, place="the sea"):
    """Return the text of a postcard."""
    return f"Dear {name}, greetings from {place}!"


@task(priority=50)
async def weigh(text):
    """Return the weight of a postcard in grams."""
    await asyncio.sleep(0)
    return round(4 + len(text) / 100, 2)


@task(queue_name="post", takes_context=True)
def post(context, name, text):
    """Return the receipt of the post office.

    Raises:
        LookupError: Nobody of that name lives there.
    """
    if name == "nobody":
        raise LookupError("return to sender")
    return {"to": name, "letters": len(text), "attempt": context.attempt}
