"""A function of the user's, as a profile names it: ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION``."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import UsageError
from pipeline.core.toml_file import PATH_RULE


@dataclass(frozen=True, slots=True)
class FunctionSource:
    """Where a function is.

    Attributes:
        module: a module's dotted name, or the path of a Python file.
        function: its name there.
    """

    module: str
    function: str

    @classmethod
    def parse(cls, text: str) -> FunctionSource:
        """Reads ``MODULE:FUNCTION``.

        Raises:
            UsageError: it is not of that form.
        """
        module, colon, function = text.rpartition(":")
        if not colon or not module or not function.isidentifier():
            raise UsageError(
                f"model.source {text!r} does not name a function",
                "write MODULE:FUNCTION or path/to/file.py:FUNCTION",
            )
        return cls(module, function)

    def fingerprint(self) -> str:
        """Changes with the text of the module's file; not with what that imports.

        Raises:
            UsageError: there is no such file or module.
        """
        return hashlib.sha256(self._file().read_bytes()).hexdigest()

    def load(self) -> Callable[..., Any]:
        """Imports the module and finds the function. What the module's code raises passes through.

        Raises:
            UsageError: there is no such file, module or function.
        """
        if self.module.endswith(".py"):
            path = self._file()
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None:
                raise UsageError(f"{path} cannot be imported", "name a Python file")
            module = importlib.util.module_from_spec(spec)
            # Where pickle finds the classes that the file defines.
            sys.modules.setdefault(path.stem, module)
            # Not by the loader, which runs the bytecode of an earlier text where the new one has
            # its length and was written in the same second.
            exec(compile(path.read_bytes(), path, "exec"), vars(module))
        else:
            self._file()
            module = importlib.import_module(self.module)
        function = getattr(module, self.function, None)
        if not callable(function):
            raise UsageError(
                f"{self.module} has no function {self.function}", "correct model.source"
            )
        found: Callable[..., Any] = function
        return found

    def _file(self) -> Path:
        if self.module.endswith(".py"):
            path = Path(self.module)
            if not path.is_file():
                raise UsageError(
                    f"{path.absolute()}: no such file", f"correct model.source; {PATH_RULE}"
                )
            return path
        if str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))  # as `python -m` does
        try:
            spec = importlib.util.find_spec(self.module)
        except ModuleNotFoundError:
            spec = None
        if spec is None or spec.origin is None:
            raise UsageError(
                f"there is no module {self.module}",
                "run from the folder that it is in, or install it",
            )
        return Path(spec.origin)
