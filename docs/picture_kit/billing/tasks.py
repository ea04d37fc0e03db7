"""What happens with the money."""

from work import work

from background_task import background, fixed


class CardDeclinedError(Exception):
    """The bank says no."""


@background(priority=10, max_attempts=3, backoff=fixed(2))
def charge_card(order_id, amount, token):
    has_funds = order_id % 9 > 0
    work(0.3, error=CardDeclinedError("insufficient funds"), share=0.05 if has_funds else 1)


@background(queue="documents")
def write_invoice(order_id):
    work(0.5, steps=2)


@background
def book_payment(order_id):
    work(0.05)


@background(queue="documents")
def export_to_bookkeeping(month):
    work(25, steps=60)


@background(max_concurrency=1)
def fetch_exchange_rates():
    work(0.4, error=ConnectionResetError(104, "Connection reset by peer"), share=0.1)


@background(queue="documents")
def close_the_day():
    work(2, steps=10)


@background
def refund(order_id):
    work(0.3)
