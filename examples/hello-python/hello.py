"""Counts the words of its standard input, or greets when there is none."""

import collections
import json
import sys


def main() -> None:
    words = collections.Counter(sys.stdin.read().split())
    if not words:
        print(f"Hello from Python {sys.version.split()[0]} in a wasm container!")
        return
    json.dump(dict(words.most_common(10)), sys.stdout, indent=2)
    print()


main()
