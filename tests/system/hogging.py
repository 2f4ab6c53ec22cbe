"""A worker that allocates without end, once for each time it is told to: hog.so, brought in by preload_exec."""

import os
import shutil

from rig import ACCOUNT, BUILD


class Hog:
    """program is for worker_program of the configuration; after bytes received by one worker it hogs, if armed."""

    def __init__(self, directory, after):
        self.program, self.trigger = f"{directory}/hogging-worker", f"{directory}/hog.trigger"
        shutil.copy(f"{BUILD}/tests/preload_exec", self.program)
        shutil.chown(directory, ACCOUNT)
        with open(self.program + ".env", "w") as env:
            env.write(f"WORKER={BUILD}/ferry-worker\nLD_PRELOAD={BUILD}/tests/hog.so\n"
                      f"HOG_AFTER={after}\nHOG_TRIGGER={self.trigger}\n")
        self.arm()

    def arm(self):
        with open(self.trigger, "w"):
            pass

    def has_struck(self):
        return not os.path.exists(self.trigger)
