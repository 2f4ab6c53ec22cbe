"""A worker that allocates memory without end when a test wants it to; preload_exec loads hog.so into it."""

import os
import shutil

from rig import ACCOUNT, BUILD


class Hog:
    """
    program is the value for worker_program.  While armed, the first worker that has received after bytes allocates without end.
    Each request that contains marks[0] makes a worker allocate without end, each one with marks[1] makes it crash.
    One with marks[2] makes a worker read from address 16.  A sync to disk takes sync_ms.  With plateau, the first worker that is armed
    stops at so many bytes until it is armed again.  With child, each worker has a child of its own session from its start on.
    Each MiB of a leak takes leak_ms.
    """

    def __init__(self, directory, after, marks=None, sync_ms=0, plateau=0, child=False, leak_ms=0):
        self.program, self.trigger = f"{directory}/hogging-worker", f"{directory}/hog.trigger"
        shutil.copy(f"{BUILD}/tests/preload_exec", self.program)
        shutil.chown(directory, ACCOUNT)
        with open(self.program + ".env", "w") as env:
            env.write(f"WORKER={BUILD}/ferry-worker\nLD_PRELOAD={BUILD}/tests/hog.so\n"
                      f"HOG_AFTER={after}\nHOG_TRIGGER={self.trigger}\nSYNC_MS={sync_ms}\n")
            env.write("".join(f"{name}={mark}\n" for name, mark in zip(("HOG_MARK", "CRASH_MARK", "WILD_MARK"), marks or ())))
            if plateau:
                env.write(f"PLATEAU={plateau}\n")
            if leak_ms:
                env.write(f"LEAK_MS={leak_ms}\n")
            if child:
                env.write("CHILD=1\n")
        self.arm()
        os.chmod(self.trigger, 0o666)

    def arm(self):
        self.write("1")

    def disarm(self):
        self.write("0")

    def write(self, state):
        """Workers have this very file mapped."""
        fd = os.open(self.trigger, os.O_WRONLY | os.O_CREAT, 0o666)
        os.pwrite(fd, state.encode(), 0)
        os.close(fd)

    def has_struck(self):
        with open(self.trigger) as f:
            return f.read() == "0"
