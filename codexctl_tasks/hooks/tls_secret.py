"""
``codex.reuse-dev-tls-secret``: a slot takes the certificate that it had last time.

What a Secret is worth is judged in `tls_pairs`; here is what is done about it.
"""

from __future__ import annotations

from http import HTTPStatus

from codexctl_tasks.errors import ClusterError, ConfigurationError
from codexctl_tasks.hooks.contract import Flag, HookContext, Parameters, Seconds, Text, Texts, hook
from codexctl_tasks.hooks.tls_pairs import Demand, Holding, hosts_of_secrets
from codexctl_tasks.hooks.tls_shelf import Shelf
from codexctl_tasks.hooks.tls_wait import wait_for_certificate


class ReuseTlsSecret(Parameters):
    """``with`` of ``codex.reuse-dev-tls-secret``."""

    secret_name: Text = ""
    """Name of the Secret, the same in both namespaces; absent: the one that the Ingresses of the
    environment name under `spec.tls`."""
    namespace: Text = ""
    """Where the certificate is needed; absent: the environment's."""
    staging_namespace: Text = ""
    """Where copies are kept; absent: `<project>-staging`."""
    host: Texts = ()
    """Host name that the certificate must cover, or several; absent: those that stand beside the
    Secret's name under `spec.tls`."""
    renew_before: Seconds | None = None
    """What expires within this time is not reused; absent: `720h`, for certificates that live
    shorter than 90 days a third of their life."""
    wait: Flag = True
    """Whether to wait until there is a certificate. Before apply say `false`: nobody makes one
    yet."""
    timeout: Seconds | None = None
    """How long to wait; absent: as long as the step may last."""


@hook(
    "codex.reuse-dev-tls-secret",
    ReuseTlsSecret,
    example="""
        # under beforeApply
        - use: codex.reuse-dev-tls-secret
          timeout: 1m
          with: { secretName: "market-slot-{{ .Slot }}-tls", wait: false }
        # under afterApply
        - use: codex.reuse-dev-tls-secret
          timeout: 5m
          continueOnError: true
          with: { secretName: "market-slot-{{ .Slot }}-tls" }
    """,
    replaces="""
        # beforeApply
        if kubectl -n "$NAMESPACE" get secret "$TLS_SECRET" >/dev/null 2>&1; then
          exit 0
        fi
        kubectl -n "$PROJECT-staging" get secret "$TLS_SECRET" -o json \\
          | jq '{apiVersion, kind, type, data, metadata: {name: .metadata.name}}' \\
          | kubectl -n "$NAMESPACE" apply -f -
        # afterApply
        for attempt in $(seq 1 24); do
          if kubectl -n "$NAMESPACE" get secret "$TLS_SECRET" >/dev/null 2>&1; then
            kubectl -n "$NAMESPACE" get secret "$TLS_SECRET" -o json \\
              | jq '{apiVersion, kind, type, data, metadata: {name: .metadata.name}}' \\
              | kubectl -n "$PROJECT-staging" apply -f -
            exit 0
          fi
          sleep 10
        done
        exit 1
    """,
)
def reuse_dev_tls_secret(given: ReuseTlsSecret, context: HookContext) -> None:
    """
    Give a slot the TLS certificate that it had last time, and keep the one that it has.

    Certificates are limited to a few a week, slots come and go every day. So each slot's
    certificate is kept in the staging namespace, under the same name:

    1. The slot has a certificate that is good: it stays as it is.
    2. Staging has a copy that is good: it is copied into the slot. Good means that it covers the
       host (DNS names and wildcards, never the common name), belongs to its private key and does
       not expire within `renewBefore`.
    3. Otherwise the hook waits until somebody, such as cert-manager, has made one in the slot. An
       empty Secret, or cert-manager's temporary certificate, is waited out.
    4. The slot's certificate is kept in staging, unless staging has one that lasts longer.

    Use it twice: before apply with `wait: false`, so that an Ingress finds the copy and nobody asks
    for a new certificate, and after apply, to wait for a new one and to keep it.

    A copy has type, data and name of the Secret, and of its annotations those that say which
    issuer it is from (`cert-manager.io/issuer-name`, `-kind`, `-group`): without them cert-manager
    takes a certificate of a ClusterIssuer for somebody else's and orders a new one. Everything that
    ties a Secret to a controller is left out. A Secret in staging that is itself made by a
    controller is never written.

    The account needs to get, create and update Secrets in both namespaces, and to list and watch
    them in the slot's.
    """
    slot, staging = _shelves(given, context)
    own = _obtain(slot, staging, given, context)
    if own is not None:
        _keep(own, staging, context)


def _obtain(
    slot: Shelf, staging: Shelf, given: ReuseTlsSecret, context: HookContext
) -> Holding | None:
    """Return the slot's own certificate; None: it is a copy, or there is none yet."""
    own, kept = slot.look(), staging.look()
    if own.secret is not None and not own.is_usable:
        context.warn(f"{slot.where} is of no use: {own.doubt}")
    if kept.is_fresh and not own.is_fresh and kept.is_newer_than(own):
        if _fill(slot, kept, context):
            context.tell(f"copied {slot.name} from {staging.namespace}, good until {kept.until}")
            return None
        own = slot.look()
    if own.is_usable:
        context.tell(f"{slot.where} is good until {own.until}")
        return own
    _tell_why_not(kept, staging, context)
    if not given.wait:
        return None
    own = wait_for_certificate(slot, own, context, given.timeout)
    context.tell(f"{slot.where} is made, good until {own.until}")
    return own


def _fill(slot: Shelf, kept: Holding, context: HookContext) -> bool:
    """Copy into the slot, unless somebody has just put a good one there."""

    def put() -> bool:
        return slot.put(kept, unless=lambda there: there.is_fresh)

    try:
        return put()
    except ClusterError as error:
        if error.status != HTTPStatus.NOT_FOUND or slot.namespace != context.namespace:
            raise
    slot.make_namespace()  # the first deploy of a slot would do so right after this step
    return put()


def _keep(own: Holding, staging: Shelf, context: HookContext) -> None:
    """Store the slot's certificate for the next slot, unless the one there lasts longer."""
    kept = staging.look()
    if not own.is_newer_than(kept):
        context.tell(f"{staging.where} is good until {kept.until}")
    elif kept.manager:
        context.warn(
            f"{staging.where} belongs to {kept.manager}: left as it is; if that is gone, delete it"
        )
    else:
        try:
            if staging.put(own, unless=lambda t: bool(t.manager) or not own.is_newer_than(t)):
                context.tell(f"kept a copy of {staging.name} in {staging.namespace}")
        except ClusterError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            context.warn(f"namespace {staging.namespace} does not exist: no copy is kept")


def _tell_why_not(kept: Holding, staging: Shelf, context: HookContext) -> None:
    if kept.secret is not None:
        context.warn(f"{staging.where} is not reused: {kept.doubt or f'expires on {kept.until}'}")
    elif staging.exists():
        context.tell(f"nothing to reuse: there is no {staging.where}")
    else:
        context.warn(f"namespace {staging.namespace} does not exist: nothing to reuse")


def _shelves(given: ReuseTlsSecret, context: HookContext) -> tuple[Shelf, Shelf]:
    """Return the Secret's two places: the slot's and the one in staging."""
    namespace = given.namespace or context.namespace
    keeps = given.staging_namespace or f"{context.project}-staging"
    if not namespace:
        raise ConfigurationError(context.hook, "the environment has no namespace", "set namespace")
    if namespace == keeps:
        what = f"the certificate of {namespace} would be kept in the same namespace"
        raise ConfigurationError(context.hook, what, "set stagingNamespace to another one")
    ingresses = [
        each.body
        for each in context.manifests
        if each.name.kind == "Ingress" and each.name.namespace in ("", namespace)
    ]
    hosts = hosts_of_secrets(ingresses)
    name = given.secret_name or _only(context, tuple(hosts))
    demand = Demand(
        hosts=given.host or hosts.get(name, ()),
        renew_before_s=given.renew_before,
    )
    slot, staging = (Shelf(context, place, name, demand) for place in (namespace, keeps))
    return slot, staging


def _only(context: HookContext, names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return names[0]
    found = f"name several Secrets: {', '.join(names)}" if names else "name no Secret"
    what = f"secretName is missing, and the Ingresses {found}"
    raise ConfigurationError(context.hook, what, "set secretName")
