"""A server of the kind that people write in ten lines: python -m tests.embedded.serving.

With ``load-then-fork`` or ``fork-then-load`` a process of multiprocessing serves two requests, and
ends.
"""

import multiprocessing
import sys
from wsgiref.simple_server import make_server

import django
from django.core.wsgi import get_wsgi_application


def serve(most: int | None = None) -> None:
    with make_server("127.0.0.1", 0, get_wsgi_application()) as server:
        sys.stdout.write(f"serving at http://127.0.0.1:{server.server_port}\n")
        sys.stdout.flush()
        if most is None:
            server.serve_forever()
        else:
            for _ in range(most):
                server.handle_request()


if __name__ == "__main__":
    if sys.argv[1:] == ["load-then-fork"]:
        django.setup()
    if sys.argv[1:]:
        process = multiprocessing.get_context("fork").Process(target=serve, args=[2])
        process.start()
        process.join()
    else:
        serve()
