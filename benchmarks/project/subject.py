"""What this process is about; the harness says it in the environment variable BENCHMARK."""

from __future__ import annotations

import json
import os

from ..peers import Peer, Place, load

_said = json.loads(os.environ["BENCHMARK"])

PEER: Peer = load(_said["peer"])
PLACE = Place(**_said["place"])
CONFIG: str = _said["config"]
#: The file that tasks write their start times to.
STAMPS: str = _said["stamps"]
