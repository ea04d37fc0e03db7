"""A server of the kind that people write in ten lines: python -m tests.embedded.serving."""

import sys
from wsgiref.simple_server import make_server

import django
from django.core.wsgi import get_wsgi_application

django.setup()
with make_server("127.0.0.1", 0, get_wsgi_application()) as server:
    sys.stdout.write(f"serving at port {server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
