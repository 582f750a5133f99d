"""What the programs have in common: their options, and where their tables and numbers go."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .machine import sentence
from .tables import rewrite

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Section:
    """The place of a program's tables: between the two markers of this name in a document."""

    document: str
    name: str

    def parser(self, doc: str | None, rounds: int, quick_rounds: int = 3) -> argparse.ArgumentParser:
        """Return a parser of the options that all programs have; what `parse` returns has the rounds to take."""
        parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--quick", action="store_true", help="small cases and few rounds, to check that all works")
        help_text = f"rounds per case (default: {rounds}, or {quick_rounds} with --quick)"
        parser.add_argument("--rounds", type=int, help=help_text)
        parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured to FILE too")
        parser.add_argument("--update", action="store_true", help=f"rewrite the section in {self.document}")
        parser.set_defaults(default_rounds=(quick_rounds, rounds))
        return parser

    @staticmethod
    def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
        """Return the command line's options; documents have no numbers of short runs."""
        args = parser.parse_args()
        if args.quick and args.update:
            parser.error("--update needs the whole measurement, without --quick")
        args.rounds = args.rounds or args.default_rounds[0 if args.quick else 1]
        return args

    def publish(self, args: argparse.Namespace, facts: Mapping[str, str], parts: list[str], measured: Any) -> None:
        """Print the parts and what they depend on; write them, and numbers that are not saved yet, where asked to."""
        text = "\n\n".join([*parts, sentence(facts)])
        print(f"\n{text}")
        if args.json and measured is not None:
            save(args.json, {"machine": dict(facts), "measured": measured})
        if args.update:
            rewrite(ROOT / self.document, self.name, text)


def save(path: Path, results: Mapping[str, Any]) -> None:
    """Write numbers as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
