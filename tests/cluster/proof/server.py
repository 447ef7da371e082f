"""The API server as the mutation test sees it: plain requests, plain answers."""

from __future__ import annotations

import json
import time
from typing import Any

from kubernetes import client, config

Object = dict[str, Any]

APPLY = "application/apply-patch+yaml"
JSON = "application/json"
MERGE = "application/merge-patch+json"
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
_BUSY = (429, 503, 504)
_PATIENCE_S = 30.0


class Refused(Exception):  # noqa: N818 - most refusals are the expected end of a mutation
    """The server did not do it."""


class Server:
    """Requests about objects; every one that fails raises `Refused` with the server's words."""

    def __init__(self, kubeconfig: str) -> None:
        """Load the credentials; the context's user may do anything."""
        settings = client.Configuration()
        config.load_kube_config(
            config_file=kubeconfig, client_configuration=settings, persist_config=False
        )
        settings.retries = False
        settings.connection_pool_maxsize = 16
        self._host = settings.host
        self._pool = client.ApiClient(settings).rest_client.pool_manager
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def request(
        self, method: str, path: str, body: Any = None, *, content: str = JSON, accept: str = JSON
    ) -> Any:
        """Send one request and decode the answer."""
        for pause_s in (0.2, 1.0, 5.0, 0.0):
            answer = self._pool.request(
                method,
                self._host + path,
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": content, "Accept": accept},
                timeout=60,
            )
            if answer.status not in _BUSY:
                break
            time.sleep(pause_s)
        if answer.status >= 300:
            raise Refused(f"{answer.status}: {answer.data[:500].decode(errors='replace')}")
        return json.loads(answer.data)

    def learn_kinds(self) -> None:
        """Ask which kinds there are and how they are addressed."""
        for root in ("/api", "/apis"):
            for group in self.request("GET", root, accept=_DISCOVERY)["items"]:
                name = group["metadata"].get("name", "")
                for version in group["versions"]:
                    api_version = f"{name}/{version['version']}" if name else version["version"]
                    for resource in version["resources"]:
                        self._kinds[api_version, resource["responseKind"]["kind"]] = (
                            resource["resource"],
                            resource["scope"] == "Namespaced",
                        )

    def path(self, thing: Object, namespace: str) -> str:
        """Return where the object lives; *namespace* counts for namespaced kinds."""
        plural, namespaced = self._kinds[thing["apiVersion"], thing["kind"]]
        version = thing["apiVersion"]
        return (
            ("/apis/" if "/" in version else "/api/")
            + version
            + (f"/namespaces/{namespace}" if namespaced else "")
            + f"/{plural}/{thing['metadata']['name']}"
        )

    def apply(self, path: str, body: Object, manager: str, *, dry_run: bool = False) -> Object:
        """Apply on the server side, taking fields from others; returns the object."""
        query = f"?fieldManager={manager}&force=true&fieldValidation=Strict" + (
            "&dryRun=All" if dry_run else ""
        )
        answer: Object = self.request("PATCH", path + query, body, content=APPLY)
        return answer

    def put(self, path: str, body: Object, manager: str) -> None:
        """Replace the object, as an editor does."""
        self.request("PUT", f"{path}?fieldManager={manager}", body)

    def merge(self, path: str, body: Object, manager: str) -> None:
        """Change some fields, as a controller does."""
        self.request("PATCH", f"{path}?fieldManager={manager}", body, content=MERGE)

    def get(self, path: str) -> Object:
        """Return the object."""
        answer: Object = self.request("GET", path)
        return answer

    def delete(self, path: str) -> None:
        """Remove an object whatever holds it back; it may be gone already."""
        try:
            self.request("DELETE", path, {"gracePeriodSeconds": 0, "kind": "DeleteOptions"})
            # The one of a definition removes its objects: the server takes it away by itself.
            if "/customresourcedefinitions/" not in path:
                self.merge(path, {"metadata": {"finalizers": None}}, "cleaner")
        except Refused:
            return

    def wait_for(self, path: str) -> None:
        """Wait until an object exists that the server makes by itself."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self.get(path)
            except Refused:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return
