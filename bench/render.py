"""
Measure the rendering of a large stack beside Go's own templates and beside kustomize.

    python bench/render.py [--runs 5] [--services 200]

Everything runs on one core. The stack has five objects for each service, conditions, functions,
an image and a mount from services.yaml; it is written in both dialects. `reference` is the program
of tests/reference, which does the same with text/template and yaml.v3; `kustomize` gets the objects
without any template. Prints wall and CPU seconds and memory; quote the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import CODEXCTL, ROOT, Commands, Run, measure, own_environment

_JINJA = {
    "env": "{{ Env }}",
    "namespace": "{{ Namespace }}",
    "tag": "{{ Versions.app }}",
    "host": '{{ envOr("HOST", "example.com") }}',
    "replicas": '{{ 3 if Env == "production" else 2 }}',
    "if": '{% if Env != "dev" %}',
    "end": "{% endif %}",
}
_GO = {
    "env": "{{ .Env }}",
    "namespace": "{{ .Namespace }}",
    "tag": '{{ index .Versions "app" }}',
    "host": '{{ envOr "HOST" "example.com" }}',
    "replicas": '{{ if eq .Env "production" }}3{{ else }}2{{ end }}',
    "if": '{{ if ne .Env "dev" }}',
    "end": "{{ end }}",
}
_SERVICE = """\
  - name: svc-%(n)d
    image:
      repository: registry.example.com/svc-%(n)d
      tagTemplate: '%(tag)s'
    manifests:
      - path: deploy/svc-%(n)d.yaml
    overlays:
      staging:
        pvcMounts: [{name: data, claimName: data, mountPath: /data}]
"""
_MANIFESTS = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: svc-%(n)d
  labels: &labels
    app: svc-%(n)d
    env: %(env)s
spec:
  replicas: %(replicas)s
  selector:
    matchLabels: *labels
  template:
    metadata:
      labels: *labels
    spec:
      containers:
        - name: app
          image: app
          env:
            - name: NAMESPACE
              value: "%(namespace)s"
            - name: HOST
              value: "%(host)s"
          resources:
            requests: { cpu: 10m, memory: 32Mi }
            limits: { memory: 64Mi }
          readinessProbe:
            httpGet: { path: /ready, port: 8080 }
---
apiVersion: v1
kind: Service
metadata:
  name: svc-%(n)d
  labels: { app: svc-%(n)d }
spec:
  selector: { app: svc-%(n)d }
  ports:
    - port: 80
      targetPort: 8080
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: svc-%(n)d
  labels: { app: svc-%(n)d }
data:
  LEVEL: info
  GREETING: "hello from %(namespace)s"
  settings.json: |
    {"timeout": 30, "retries": 3, "name": "svc-%(n)d"}
---
%(if)s
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: svc-%(n)d
spec:
  rules:
    - host: svc-%(n)d.%(host)s
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service: { name: svc-%(n)d, port: { number: 80 } }
---
%(end)s
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: svc-%(n)d
spec:
  minReplicas: 2
  maxReplicas: 5
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: svc-%(n)d }
"""


def write_stack(folder: Path, words: dict[str, str], services: int) -> None:
    """Write a stack of *services* services in the dialect of *words*."""
    deploy = folder / "deploy"
    deploy.mkdir(parents=True)
    items = []
    for n in range(services):
        items.append(_SERVICE % {**words, "n": n})
        (deploy / f"svc-{n}.yaml").write_text(_MANIFESTS % {**words, "n": n}, encoding="utf-8")
    head = "project: big\nversions: {app: 1.2.3}\nenvironments: {staging: {}}\nservices:\n"
    (folder / "services.yaml").write_text(head + "".join(items), encoding="utf-8")


def contestants(folder: Path, services: int) -> dict[str, tuple[Path, list[str]]]:
    """Return folder and command of each program that can run here, by name."""
    render = [str(CODEXCTL), "render", "--env", "staging"]
    found = {}
    for name, words in (("codexctl, Jinja2", _JINJA), ("codexctl, Go dialect", _GO)):
        place = folder / name.replace(", ", "-").replace(" ", "-")
        write_stack(place, words, services)
        found[name] = (place, render)
    go_stack = found["codexctl, Go dialect"][0]
    if go := shutil.which("go"):
        program = folder / "reference"
        source = ROOT / "tests" / "reference"
        subprocess.run([go, "build", "-o", program, "."], cwd=source, check=True)
        found["reference (Go)"] = (go_stack, [str(program), "--env", "staging"])
    if kubectl := os.environ.get("SANDBOX_KUBECTL") or shutil.which("kubectl"):
        plain = folder / "plain"
        plain.mkdir()
        rendered = subprocess.run(render, cwd=go_stack, check=True, capture_output=True).stdout
        (plain / "all.yaml").write_bytes(rendered)
        (plain / "kustomization.yaml").write_text("resources: [all.yaml]\n", encoding="utf-8")
        found["kubectl kustomize"] = (plain, [kubectl, "kustomize", "."])
    return found


def main() -> None:
    """Run every contestant in turn, several times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each (default: 5)")
    parser.add_argument("--services", type=int, default=200, help="services (default: 200)")
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        found = contestants(Path(name), options.services)
        found["codexctl, the shop"] = (
            ROOT / "examples" / "shop",
            [str(CODEXCTL), "render", "--env", "staging"],
        )
        results: dict[str, list[Run]] = {each: [] for each in found}
        for number in range(options.runs + 1):
            for each, (place, argv) in found.items():
                run = measure(Commands(each, [argv]), own_environment(), place)
                if number:  # the first one warms up
                    results[each].append(run)
    print(f"{options.services} services, {options.services * 5} objects, medians of {options.runs}")
    print(f"{'':<24} {'wall s':>8} {'CPU s':>8} {'MiB':>8} {'ratio':>8}")
    ours = statistics.median(run.wall_s for run in results["codexctl, Jinja2"])
    for each, runs in results.items():
        wall = statistics.median(run.wall_s for run in runs)
        cpu = statistics.median(run.cpu_s for run in runs)
        memory = statistics.median(run.memory_mib for run in runs)
        print(f"{each:<24} {wall:>8.2f} {cpu:>8.2f} {memory:>8.0f} {wall / ours:>8.2f}")


if __name__ == "__main__":
    sys.exit(main())
