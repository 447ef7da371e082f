"""
The long run of the mutation test: is the proof ever wrong about a real API server?

    eval "$(python3 -m sandbox env)"
    .venv/bin/python -m tests.cluster.proof --cases 4500 --seed 1
    .venv/bin/python -m tests.cluster.proof --seed 1 --case 1234

Run it after every change of ``codexctl_tasks/apply/proof.py`` or ``stored.py`` and with every new
version of Kubernetes, with at least three seeds. It prints the figures and every wrong verdict with
the flags that repeat it; the exit code is 1 if there is any. ``--needless`` prints what was sent
although nothing would have changed: what the proof could learn.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter

from tests.cluster.proof.trials import by_kind, counted, playground, run_cases


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.proof")
    parser.add_argument("--cases", type=int, default=4500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="only this one, with all that is known of it")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--needless", action="store_true")
    flags = parser.parse_args()
    numbers = range(flags.cases) if flags.case is None else [flags.case]
    with playground(os.environ["KUBECONFIG"]) as place:
        cases = run_cases(place, flags.seed, numbers, flags.seconds)
    for case in cases:
        if case.is_wrong or flags.case is not None or (flags.needless and case.is_needless):
            print(case)  # noqa: T201
    scenarios = Counter((c.scenario, c.truth, "unchanged" if c.proved else "sent") for c in cases)
    for key, count in sorted(scenarios.items()):
        print(*key, count)  # noqa: T201
    needless = [case for case in cases if case.is_needless]
    print("sent though same:", by_kind(needless))  # noqa: T201
    print(counted(cases))  # noqa: T201
    return 1 if any(case.is_wrong for case in cases) else 0


if __name__ == "__main__":
    sys.exit(main())
