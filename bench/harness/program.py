"""What the programs have in common: their options, and where their tables and numbers go."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .machine import describe
from .tables import rewrite

ROOT = Path(__file__).parents[2]
QUICK_ROUNDS = 3


@dataclass(frozen=True)
class Section:
    """The place of a program's tables: between the two markers of this name in a document."""

    document: str
    name: str

    def parse(
        self, doc: str | None, rounds: int, options: Mapping[str, Mapping[str, Any]] | None = None
    ) -> argparse.Namespace:
        """Return the command line's options, those that all programs have and others, and the machine as it is now."""
        parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--quick", action="store_true", help="small cases and few rounds, to check that all works")
        help_text = f"rounds per case (default: {rounds}, or {QUICK_ROUNDS} with --quick)"
        parser.add_argument("--rounds", type=int, help=help_text)
        parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE too")
        parser.add_argument("--update", action="store_true", help=f"rewrite the section in {self.document}")
        for name, keywords in (options or {}).items():
            parser.add_argument(name, **keywords)
        args = parser.parse_args()
        if args.quick and args.update:
            parser.error("--update needs the whole measurement, without --quick")
        args.rounds = args.rounds or (QUICK_ROUNDS if args.quick else rounds)
        args.machine = describe()
        return args

    def publish(self, args: argparse.Namespace, parts: list[str], measured: Mapping[str, Any]) -> None:
        """Print the parts and the machine; write them to the document, and what was measured as JSON, if asked to."""
        text = "\n\n".join([*parts, ", ".join(f"{name} {value}" for name, value in args.machine.items()) + "."])
        print(f"\n{text}")
        if args.json:
            save(args.json, {"machine": args.machine, **measured})
        if args.update:
            rewrite(ROOT / self.document, self.name, text)


def save(path: Path, results: Mapping[str, Any]) -> None:
    """Write numbers as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
