"""What `invoke` finds in this folder: the tasks of codexctl."""

from codexctl_tasks.tasks import namespace

__all__ = ["namespace"]
