"""
``services.yaml`` as immutable types: the reference of its keys.

Pure data: no I/O, no defaults read from the environment. Keys are camelCase in the file and
snake_case here. Every text keeps its spelling (a version ``1.10`` is "1.10", ``no`` is "no"), and a
key without a value is a key that is not there. The docstrings below the fields are what
``docs/services-yaml.md`` and the JSON Schema say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Mapping

_DURATION = re.compile(r"(?:(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h))+|[0-9]+)?")
_YES = ("true", "yes", "on", "y")
_NO = ("false", "no", "off", "n")


class Part(BaseModel):
    """Base of everything in the file; remembers unknown keys so that they can be warned of."""

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=to_camel,
        populate_by_name=True,
        defer_build=True,  # pydantic builds the whole at its first use, which takes half as long
    )

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, given: Any) -> Any:
        """Treat a key without a value as a key that is not there."""
        if isinstance(given, dict):
            return {key: value for key, value in given.items() if value is not None}
        return given


def _null_is_empty(value: Any) -> Any:
    return "" if value is None else value


def _null_is_mapping(value: Any) -> Any:
    return {} if value is None else value


def _flag(value: Any) -> Any:
    if isinstance(value, str) and (word := value.strip().lower()) in (*_YES, *_NO):
        return word in _YES
    if isinstance(value, bool):
        return value
    raise ValueError("neither true nor false")


def _whole(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9]+", value.strip()):
        return int(value)
    if isinstance(value, int):
        return value
    raise ValueError("not a whole number")


def _duration(value: str) -> str:
    if _DURATION.fullmatch(value.strip()):
        return value.strip()
    raise ValueError("not a duration")


Text = Annotated[str, BeforeValidator(_null_is_empty)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Whole = Annotated[int, BeforeValidator(_whole), Field(ge=0)]
Duration = Annotated[Text, AfterValidator(_duration)]
Name = Annotated[Text, Field(min_length=1)]
PullPolicy = Literal["", "Always", "IfNotPresent", "Never"]
ImageType = Literal["", "external", "build"]
StateBackend = Literal["", "configmap"]
Scheme = Literal["", "http", "https"]
McpTransport = Literal["", "stdio", "http", "https", "cluster"]
AgentSandbox = Literal["", "read-only", "workspace-write", "danger-full-access"]


class NamespaceRules(Part):
    """``namespace``."""

    patterns: dict[str, Text] = {}
    """Template of the namespace for each environment; it knows all names of templates but the
    file's own header variables. Without one: `<project>-<env>`, for `ai` with a slot
    `<project>-dev-<slot>`, for `ai-repair` `<project>-ai-staging`."""


class LocalRegistry(Part):
    """``environments.<env>.localRegistry``."""

    enabled: Flag = False
    """Whether this environment has a registry of its own."""
    name: Text = ""
    """Host name of the registry."""
    port: Whole = 0
    """Port of the registry; 0 or absent: the usual one."""


class Environment(Part):
    """One entry of ``environments``."""

    base: Text = Field(default="", alias="from")
    """Name of an environment to inherit `imagePullPolicy`, `slotBootstrapInfra` and
    `localRegistry` from."""
    image_pull_policy: PullPolicy = ""
    """Pull policy of the environment's images; changes no manifest by itself."""
    slot_bootstrap_infra: tuple[Text, ...] = ()
    """Names of infrastructure items that a slot needs before anything else."""
    local_registry: LocalRegistry | None = None
    """Registry of the environment."""
    kubeconfig: Text = ""
    """Path of the kubeconfig to use when none is given otherwise."""
    context: Text = ""
    """Context in the kubeconfig."""


class DataPaths(Part):
    """``dataPaths``: data directories on the node."""

    root: Text = ""
    """Folder that holds all data directories."""
    env_dir: Text = ""
    """Folder of the environment below `root`; without it: `slots/<slot>`, or the environment's
    name."""
    dirs: tuple[Text, ...] = ()
    """Directories in the folder of the environment."""
    paths: tuple[Text, ...] = ()
    """Whole paths, instead of `dirs`."""


class Volume(Part):
    """One entry of ``storage``."""

    size: Text = ""
    """Size of the claim, such as `20Gi`."""
    storage_class: Text = ""
    """Storage class; absent: the cluster's default one."""
    access_modes: tuple[Text, ...] = ()
    """Access modes, such as `ReadWriteOnce`."""


class Storage(Part):
    """``storage``: volume claims, for use in templates."""

    workspace: Volume | None = None
    """Sources of the slots."""
    data: Volume | None = None
    """Data of the services."""
    registry: Volume | None = None
    """Images of the registry."""


class Image(Part):
    """One entry of ``images``."""

    type: ImageType = ""
    """`external`: mirrored `from` another registry to `local`; `build`: built here."""
    source: Text = Field(default="", alias="from")
    """Whole reference of the external image."""
    local: Text = ""
    """Whole reference in the project's own registry."""
    repository: Text = ""
    """Registry and name of the image that is built."""
    tag: Text = ""
    """Tag of the image that is built; wins over `tagTemplate`. Rendered when it is used."""
    tag_template: Text = ""
    """Template of the tag. Rendered when it is used."""
    dockerfile: Text = "Dockerfile"
    """Dockerfile, relative to the project."""
    context: Text = "."
    """Folder that the build sees, relative to the project."""
    build_args: dict[str, Text] = {}
    """Arguments of the build. Rendered when they are used."""
    build_contexts: dict[str, Text] = {}
    """More folders of the build by name. Rendered when they are used."""


class HookStep(Part):
    """One step of a hook."""

    name: Text = ""
    """What the logs call it."""
    when: Text = ""
    """`false`, `0`, `no` or blank after rendering: the step is left out. Absent: it runs."""
    timeout: Duration = ""
    """How long the step may take, such as `90s`; absent: 10 minutes."""
    continue_on_error: Flag = False
    """Whether the work goes on when the step fails."""
    always: Flag = False
    """In `afterAll`: whether the step runs also after a failure or Ctrl-C."""
    run: Text = ""
    """Script for bash, a template; wins over `use`. Rendered when it is used. It sees all variables
    in its environment."""
    use: Text = ""
    """Name of a hook; hooks.md lists those that are built in."""
    parameters: dict[str, Any] = Field(default={}, alias="with")
    """Parameters of that hook."""


class StackHooks(Part):
    """``hooks`` of the whole stack."""

    before_all: tuple[HookStep, ...] = ()
    """Before anything is applied or deleted."""
    after_all: tuple[HookStep, ...] = ()
    """After everything has been applied or deleted."""


class ItemHooks(Part):
    """``hooks`` of an item."""

    before_apply: tuple[HookStep, ...] = ()
    """Before the item is applied."""
    after_apply: tuple[HookStep, ...] = ()
    """After the item was applied."""
    before_destroy: tuple[HookStep, ...] = ()
    """Before the item is deleted."""
    after_destroy: tuple[HookStep, ...] = ()
    """After the item was deleted."""


class ManifestFile(Part):
    """One entry of ``manifests``."""

    path: Name
    """File with Kubernetes objects, a template, relative to the folder of `services.yaml`."""


class Item(Part):
    """One entry of ``infrastructure``; what all items have in common."""

    name: Name
    """What `--only-infra`, `--skip-infra`, `--only-services` and `--skip-services` refer to."""
    when: Text = ""
    """`false`, `0` or `no` after rendering leaves the item out; anything else, blank too, keeps
    it. Rendered when it is used."""
    manifests: tuple[ManifestFile, ...] = ()
    """Files of the item, in the order in which they are rendered."""
    hooks: ItemHooks = ItemHooks()
    """What runs before and after the item."""


class ServiceImage(Part):
    """``services[].image``: the image of the Deployment that has the service's name."""

    repository: Text = ""
    """Registry and name of the image. Empty: the manifest's own image stays."""
    tag_template: Text = ""
    """Template of the tag; empty: no tag. Rendered when it is used."""


class Ingress(Part):
    """``services[].ingress``."""

    hosts: dict[str, Text] = {}
    """Host name for each environment; changes no manifest by itself."""


class HostMount(Part):
    """One entry of ``hostMounts``."""

    name: Text = ""
    """Name of the volume; replaces a volume of the manifest that has it."""
    host_path: Text = ""
    """Path on the node."""
    host_path_type: Text = "Directory"
    """Kubernetes' own type of the path."""
    mount_path: Text = ""
    """Path in the containers."""


class ClaimMount(Part):
    """One entry of ``pvcMounts``."""

    name: Text = ""
    """Name of the volume; replaces a volume of the manifest that has it."""
    claim_name: Text = ""
    """Name of the PersistentVolumeClaim."""
    mount_path: Text = ""
    """Path in the containers."""
    sub_path: Text = ""
    """Folder inside the volume."""
    read_only: Flag = False
    """Whether the containers can only read."""


class Overlay(Part):
    """One entry of ``overlays``: what is different in one environment."""

    host_mounts: tuple[HostMount, ...] = ()
    """Folders of the node for the first container and all init containers of the Deployment that
    has the service's name."""
    pvc_mounts: tuple[ClaimMount, ...] = ()
    """Volume claims for the same containers."""
    drop_kinds: tuple[Text, ...] = ()
    """Kinds of objects that this environment does without, such as `Ingress`; in any case."""


class Service(Item):
    """One entry of ``services``."""

    image: ServiceImage = ServiceImage()
    """Image that replaces the one in the manifest."""
    ingress: Ingress = Ingress()
    """Public addresses."""
    overlays: dict[str, Annotated[Overlay, BeforeValidator(_null_is_mapping)]] = {}
    """Differences for each environment; looked up by its exact name, not inherited."""


class State(Part):
    """``state``: where slots are recorded."""

    backend: StateBackend = ""
    """Kind of the records; there is one kind."""
    configmap_namespace: Text = ""
    """Namespace of the records."""
    configmap_prefix: Text = ""
    """Beginning of their names; the slot's number follows."""


class Timeouts(Part):
    """``codex.timeouts``."""

    exec: Duration = ""
    """Longest run of the agent."""
    rollout: Duration = ""
    """Longest roll-out in a slot."""
    deploy_wait: Duration = ""
    """How long a deploy waits for its objects, unless `--wait-timeout` says otherwise."""


class Link(Part):
    """One entry of ``codex.links``."""

    title: Text = ""
    """Text of the link."""
    path: Text = ""
    """Path behind the environment's host name."""


class ConfigBlock(Part):
    """One entry of ``codex.configBlocks``."""

    name: Text = ""
    """Name for messages."""
    toml: Text = ""
    """TOML to add to the agent's configuration."""
    file: Text = ""
    """File with such TOML, relative to the project."""


class ValueSource(Part):
    """A value, or where it comes from."""

    value: Text = ""
    """The value itself; not for secrets."""
    env_ref: Text = ""
    """Name of a variable of the environment or an env file."""
    var_ref: Text = ""
    """Name of a variable from `--vars` or `--var-file`."""
    optional: Flag = False
    """Whether it may be missing."""


class ClusterService(Part):
    """``service`` of an MCP server inside the cluster."""

    name: Text = ""
    """Name of the Service."""
    namespace: Text = ""
    """Its namespace; absent: that of the environment."""
    port: Whole = 0
    """Its port."""
    path: Text = ""
    """Path of the server; absent: `/mcp`."""
    scheme: Scheme = ""
    """Scheme of its address."""


class Tool(Part):
    """One entry of ``tools`` of an MCP server."""

    name: Text = ""
    """Name of the tool."""
    description: Text = ""
    """What it does, for prompts."""


class McpServer(Part):
    """One entry of ``codex.mcp.servers``."""

    name: Name
    """Name in the agent's configuration."""
    type: McpTransport = ""
    """How it is reached."""
    description: Text = ""
    """What it is for, for prompts."""
    tool_timeout_sec: Whole = Field(default=0, alias="tool_timeout_sec")
    """Longest call of a tool, in seconds; 0: the agent's own limit."""
    startup_timeout_sec: Whole = Field(default=0, alias="startup_timeout_sec")
    """Longest start, in seconds; 0: the agent's own limit."""
    command: Text = ""
    """Program (`stdio`)."""
    args: tuple[Text, ...] = ()
    """Its arguments."""
    env: dict[str, ValueSource] = {}
    """Its environment variables."""
    endpoint: Text = ""
    """Address (`http`, `https`)."""
    headers: dict[str, ValueSource] = {}
    """Headers of requests."""
    bearer_token_env_var: Text = Field(default="", alias="bearer_token_env_var")
    """Name of the variable that holds the bearer token."""
    service: ClusterService | None = None
    """Service inside the cluster (`cluster`)."""
    tools: tuple[Tool, ...] = ()
    """Tools to name in prompts."""
    required: Flag = False
    """Whether a run fails when the server does not start."""


class Agent(Part):
    """``codex.agent``: the program that works in a slot."""

    command: tuple[Text, ...] = ()
    """Program and arguments of an agent that is not Codex: it gets the prompt on stdin and writes
    its last message to the file `$CODEXCTL_LAST_MESSAGE`; absent: Codex."""
    version: Text = ""
    """Version of Codex that the image has to hold, or `any`; absent: the one that codexctl is
    tested with."""
    container: Text = ""
    """Container in which it works; absent: `codex`, else the first one that may write to the whole
    workspace."""
    sandbox: AgentSandbox = ""
    """What Codex lets commands do; absent: `danger-full-access`, for the pod is the boundary and
    most pods do not allow another one inside."""


class Mcp(Part):
    """``codex.mcp``."""

    servers: tuple[McpServer, ...] = ()
    """Servers that the agent can use."""


class Publish(Part):
    """``codex.publish``: what of an agent's work is published; that of the base branch counts."""

    paths: dict[str, Text] = {}
    """`allow`, `review` or `block` by pattern as in `.gitignore`; any other word blocks. The last
    one that matches counts, and more than what codexctl itself says of a file."""
    max_files: Whole = 0
    """Most files that may be changed; 0 or absent: 300."""
    max_file_megabytes: Whole = 0
    """Largest file; 0 or absent: 5."""
    max_megabytes: Whole = 0
    """Most of all changed files together; 0 or absent: 20."""
    reviewers: tuple[Text, ...] = ()
    """Who is asked for a review when a file needs one: `login`, or `owner/team`."""


class ModelProxy(Part):
    """``codex.proxy``: what holds the model key, outside of the slot."""

    image: Text = ""
    """Image with Python 3.9 or newer as `python3`, such as the agent's own. Rendered when it is
    used."""
    pull_secret: Text = ""
    """Name of a Secret in the namespace of proxies with which the image is pulled."""
    namespace: Text = ""
    """Namespace of proxies, which no slot may read; absent: `<project>-codexctl-model`."""
    upstream: Text = ""
    """Address of the model's API, before `/responses`; absent: that of OpenAI."""
    ca_file: Text = ""
    """Certificates to trust instead of the image's, as PEM; relative to the project."""
    egress: Text = ""
    """Address of the HTTP proxy that leads from the cluster to the model."""
    models: tuple[Text, ...] = ()
    """Models that an agent may use; absent: any."""
    tools: tuple[Text, ...] = ()
    """Kinds of tools that the model's provider runs, such as `web_search`, which an agent may use:
    they reach what its pod does not. Absent: none, and the web search of Codex is switched off."""
    max_requests: Whole = 0
    """Most requests of one run; 0 or absent: 2000."""
    max_request_megabytes: Whole = 0
    """Largest request; 0 or absent: 64."""
    agent_pods: dict[str, Text] = {}
    """Labels of the agent's pods, which a NetworkPolicy then shuts in while it works: they reach
    the proxy, the cluster's DNS and pods of their namespace, and nothing else. Absent: no
    policy."""


class Codex(Part):
    """``codex``: the agent."""

    prompt_lang: Text = ""
    """Language of prompts, such as `en`."""
    model: Text = ""
    """Model of the agent."""
    model_reasoning_effort: Text = ""
    """How much the model thinks."""
    links: tuple[Link, ...] = ()
    """Pages of the environment that comments link to."""
    extra_tools: tuple[Text, ...] = ()
    """Programs that the agent's image has besides the usual ones."""
    project_context: Text = ""
    """What the agent has to know about the project."""
    services_overview: Text = ""
    """What runs in the environment, and where."""
    timeouts: Timeouts = Timeouts()
    """Limits of time."""
    agent: Agent = Agent()
    """The program that works in a slot."""
    config_template: Text = ""
    """Template of the agent's configuration, relative to the project."""
    config_blocks: tuple[ConfigBlock, ...] = ()
    """Pieces of TOML to add to it."""
    mcp: Mcp = Mcp()
    """Servers of the Model Context Protocol."""
    proxy: ModelProxy = ModelProxy()
    """What holds the model key, outside of the slot."""
    review_mcp_enabled: Flag = Field(default=False, alias="reviewMCPEnabled")
    """Whether reviews may use MCP servers."""
    publish: Publish = Publish()
    """What of its work becomes a pull request."""


class Stack(Part):
    """A whole ``services.yaml``."""

    project: Name
    """Short name; goes into namespaces and names of secrets. Read before the file is rendered."""
    env_files: tuple[Text, ...] = ()
    """Dotenv files that are read before the file is rendered, relative to it; later ones win, all
    of them over the process environment."""
    namespace: NamespaceRules = NamespaceRules()
    """How environments are mapped to namespaces."""
    max_slots: Whole = 0
    """Most slots at once; 0 or absent: no limit."""
    registry: Text = ""
    """The project's registry; changes no manifest by itself."""
    base_domain: dict[str, Text] = {}
    """Domain of each environment, for templates."""
    versions: dict[str, Text] = {}
    """Versions by name, for templates."""
    environments: dict[str, Annotated[Environment, BeforeValidator(_null_is_mapping)]] = {}
    """The environments there are."""
    data_paths: DataPaths = DataPaths()
    """Data directories on the node."""
    storage: Storage | None = None
    """Volume claims, for templates."""
    images: dict[str, Annotated[Image, BeforeValidator(_null_is_mapping)]] = {}
    """Images to mirror and to build."""
    infrastructure: tuple[Item, ...] = ()
    """What the services stand on; its objects are applied as they are written."""
    services: tuple[Service, ...] = ()
    """What the team itself writes; its objects get the environment's namespace."""
    hooks: StackHooks = StackHooks()
    """What runs before and after everything."""
    state: State = State()
    """Where slots are recorded."""
    codex: Codex = Codex()
    """The agent."""

    def environment(self, name: str) -> Environment:
        """
        Return an environment with what it inherits; an unknown one has nothing set.

        `validation.check_stack` has made sure that inheriting comes to an end.
        """
        chain = [self.environments.get(name, Environment())]
        while chain[-1].base:
            chain.append(self.environments.get(chain[-1].base, Environment()))
        inherited: Mapping[str, Any] = {
            key: value
            for key in ("image_pull_policy", "slot_bootstrap_infra", "local_registry")
            if (value := next((v for e in chain if (v := getattr(e, key))), None))
        }
        return chain[0].model_copy(update=dict(inherited))
