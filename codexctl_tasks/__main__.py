"""``python -m codexctl_tasks``: the same as ``codexctl``, where it is not on PATH."""

from codexctl_tasks.program import main

main()
