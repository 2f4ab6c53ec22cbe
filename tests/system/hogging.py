"""A worker that allocates without end, once for each time it is told to: hog.so, brought in by preload_exec."""

import contextlib
import os
import shutil

from rig import ACCOUNT, BUILD


class Hog:
    """
    program is for worker_program of the configuration; after bytes received by one worker it hogs, if armed.  A request with
    marks[0] in it makes it hog, one with marks[1] crash, each time.  Its disk takes sync_ms.
    """

    def __init__(self, directory, after, marks=None, sync_ms=0):
        self.program, self.trigger = f"{directory}/hogging-worker", f"{directory}/hog.trigger"
        shutil.copy(f"{BUILD}/tests/preload_exec", self.program)
        shutil.chown(directory, ACCOUNT)
        with open(self.program + ".env", "w") as env:
            env.write(f"WORKER={BUILD}/ferry-worker\nLD_PRELOAD={BUILD}/tests/hog.so\n"
                      f"HOG_AFTER={after}\nHOG_TRIGGER={self.trigger}\nSYNC_MS={sync_ms}\n")
            if marks:
                env.write(f"HOG_MARK={marks[0]}\nCRASH_MARK={marks[1]}\n")
        self.arm()

    def arm(self):
        with open(self.trigger, "w"):
            pass

    def disarm(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.trigger)

    def has_struck(self):
        return not os.path.exists(self.trigger)
