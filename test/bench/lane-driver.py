"""Plays a script of one lane: JSON on standard input, what became of it on standard output."""

import json
import sys

sys.path.insert(0, sys.argv[1])

from lane import Lane

script = json.load(sys.stdin)
lane = Lane(script["delayNs"], script["loss"], script["seed"], script["capacity"])
delivered = []
for step in script["steps"]:
    if "offer" in step:
        lane.offer(step["atNs"], bytes([step["offer"] % 256]) * step.get("size", 1))
        continue
    while (packet := lane.due(step["atNs"])) is not None:
        delivered.append([step["atNs"], packet[0]])
print(json.dumps({"delivered": delivered, "nextNs": lane.next_ns(), "counters": lane.counters()}))
