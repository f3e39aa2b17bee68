"""Memory of long-lived processes: what was loaded is not looked through again, what comes later still is."""

import subprocess
import sys

_PROGRAM = """
import gc, weakref
from service import memory

class Node:
    pass

memory.settle()
assert gc.get_freeze_count() > 1000, "nothing is set aside"
assert gc.isenabled()
once, later, last = gc.get_threshold()
assert once > 700, "as often as by itself"
node = Node()
node.own = node
seen = weakref.ref(node)
del node
kept = []
for _ in range(2 * once):
    kept.append([])
assert seen() is None, "a circle that was made later stays"
"""


def test_what_is_loaded_is_set_aside_and_later_circles_are_still_found() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
