"""A project folder with a stack, for tests that load or render one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from codexctl_tasks.settings import render_request
from codexctl_tasks.stack.desired import Desired, load_desired
from codexctl_tasks.stack.loading import LoadedStack, load_stack

if TYPE_CHECKING:
    from pathlib import Path

    from codexctl_tasks.requests.basis import Source


class Project:
    """The folder of a ``services.yaml``; it is the current one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, **files: str) -> None:
        """Write ``services.yaml`` and others; ``web_yaml`` stands for ``web.yaml``."""
        for name, text in files.items():
            self.write_file(name.replace("_", "."), text)

    def write_file(self, name: str, text: str) -> None:
        """Write one file, its folders too; line ends are left as they are."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())

    def source(self, **given: Any) -> Source:
        """Return what a user asks for with flags; the environment is ``staging`` unless given."""
        return render_request(**{"env": "staging", **given}).source

    def load(self, services: str = "", **given: Any) -> LoadedStack:
        """Load the stack, after writing *services* if there is any."""
        if services:
            self.write(services_yaml=services)
        return load_stack(self.source(**given))

    def desired(self, services: str = "", **given: Any) -> Desired:
        """Render the whole environment, after writing *services* if there is any."""
        if services:
            self.write(services_yaml=services)
        return load_desired(self.source(**given))

    def text(self, template: str, *, stack: str = "", **given: Any) -> str:
        """Render a template as a manifest of the stack would be; *stack* follows `project`."""
        loaded = self.load(f"project: shop\n{stack}", **given)
        return loaded.templates.render(template, "f.yaml").text
