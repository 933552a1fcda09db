"""The spawner: a small process that starts commands inside their confinement (DESIGN section 6).

It runs beside the runner as ``python -I -S`` with an empty environment and one thread, imports nothing but the
standard library, and takes one request a command from a socket. ``main`` is its loop, ``sandbox`` what happens to
one command, ``mounts``, ``landlock`` and ``seccomp`` are the layers, ``probe`` proves that they hold here.
"""
