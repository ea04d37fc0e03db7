"""What happens when somebody buys something."""

import random

from billing import tasks as billing
from media import tasks as media
from work import work

from background_task import background, exponential, fixed


@background(queue="mail", max_attempts=4, backoff=exponential(5))
def send_receipt(order_id):
    work(0.15, error=ConnectionRefusedError(111, "Connection refused"), share=0.06)


@background(queue="mail")
def send_welcome(user_id):
    work(0.1)


@background(queue="mail")
def remind_of_basket(user_id):
    work(0.1)


@background(queue="newsletter")
def send_newsletter(user_id, issue):
    work(0.1)


@background(priority=5)
def reserve_stock(order_id, items):
    work(0.05)


@background(max_attempts=3, backoff=fixed(3))
def call_courier(order_id, country):
    work(0.4, error=TimeoutError("the courier did not answer within 30 s"), share=0.15)


@background
def update_search_index(product_id):
    work(0.08)


@background(unique=True)
def recompute_bestsellers():
    work(3, steps=12)


@background
def forget_basket(user_id):
    work(0.02)


@background
def score_for_fraud(order_id):
    work(0.3, error=ValueError("score 1.7 is not between 0 and 1"), share=0.02)


@background
def let_customers_in():
    """Be a busy moment of the shop: call what customers cause."""
    order = random.randrange(10_000, 99_999)
    for number in range(order, order + 6):
        reserve_stock(number, items=[number % 7, number % 11])
        score_for_fraud(number)
        billing.charge_card(number, 19.9, token="tok_1a2b3c")
        billing.write_invoice(number)
        call_courier(number, random.choice(["DE", "FR", "IT"]))
        send_receipt(number)
        update_search_index(number % 500)
        media.resize_photo(f"{number}.jpg", width=640)
    send_welcome(order % 900)
    remind_of_basket(order % 800, schedule=random.randrange(600, 7200))
    forget_basket(order % 800, schedule=7200)
    billing.book_payment(order)
    media.scan_upload(f"{order}.pdf")
    recompute_bestsellers()
