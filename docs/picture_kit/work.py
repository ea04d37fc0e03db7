"""What all tasks of the shop do: nothing, for some time, and now and then with an error."""

import logging
import random
import time

from background_task import progress

logger = logging.getLogger("shop")


def work(seconds, *, steps=1, error=None, share=0.0):
    """Take about so many seconds; in this share of all calls, end with the error."""
    logger.info("connected, %d steps to do", steps)
    is_failing = random.random() < share
    for step in range(1, steps + 1):
        time.sleep(random.lognormvariate(0, 0.5) * seconds / steps)
        if steps > 1:
            progress(step, steps, f"part {step} of {steps}")
        if is_failing and step > steps // 2:
            ask_other_side(error)
    logger.info("done")


def ask_other_side(error):
    """Be where tracebacks end."""
    logger.warning("the other side answered with an error")
    raise error
