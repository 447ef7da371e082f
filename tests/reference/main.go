// Command reference renders a stack that is written in the Go template dialect, with Go's own
// template engine and YAML library, and prints its objects as one JSON array.
//
// It is the second opinion of the tests: codexctl must arrive at the same objects. It is written
// for clarity, knows nothing of clusters, and reports the first mistake it meets as
// "STAGE: what is wrong" with exit code 1.
//
//	go run . --config ../../examples/market/services.yaml --env staging
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/joho/godotenv"
	"gopkg.in/yaml.v3"
)

// request is what the flags say.
type request struct {
	config    string
	env       string
	slot      int
	namespace string
	vars      string
	varFile   string
	now       time.Time
}

func main() {
	asked, err := parseFlags(os.Args[1:])
	if err == nil {
		var objects []object
		if objects, err = renderStack(asked); err == nil {
			err = printObjects(os.Stdout, objects)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func parseFlags(arguments []string) (request, error) {
	var asked request
	flags := flag.NewFlagSet("reference", flag.ExitOnError)
	flags.StringVar(&asked.config, "config", "services.yaml", "the stack")
	flags.StringVar(&asked.env, "env", "", "name of the environment")
	flags.IntVar(&asked.slot, "slot", 0, "number of the slot, 0 for none")
	flags.StringVar(&asked.namespace, "namespace", "", "beats pattern and built-in name")
	flags.StringVar(&asked.vars, "vars", os.Getenv("CODEXCTL_VARS"), "A=1,B=2")
	flags.StringVar(&asked.varFile, "var-file", os.Getenv("CODEXCTL_VAR_FILE"), "file of variables")
	now := flags.String("now", "", "the time that templates see, RFC 3339 (default: now)")
	if err := flags.Parse(arguments); err != nil {
		return asked, err
	}
	asked.now = time.Now().UTC()
	if *now != "" {
		moment, err := time.Parse(time.RFC3339, *now)
		if err != nil {
			return asked, fmt.Errorf("usage: --now: %w", err)
		}
		asked.now = moment.UTC()
	}
	return asked, nil
}

// object is one YAML document: what will be sent to the cluster.
type object = map[string]any

// renderStack is the whole way from a file to its objects; the order of the steps matters.
func renderStack(asked request) ([]object, error) {
	config, err := filepath.Abs(asked.config)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	root := filepath.Dir(config)
	source, err := os.ReadFile(config)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}

	var raw rawStack
	if err := yaml.Unmarshal(source, &raw); err != nil {
		return nil, fmt.Errorf("raw: %w", err)
	}
	view, err := newView(asked, raw, root)
	if err != nil {
		return nil, err
	}
	if view.Namespace, err = view.findNamespace(asked.namespace, raw.Namespace.Patterns); err != nil {
		return nil, err
	}

	text, err := view.render("services.yaml", string(source))
	if err != nil {
		return nil, err
	}
	var parsed stack
	if err := yaml.Unmarshal([]byte(text), &parsed); err != nil {
		return nil, fmt.Errorf("stack: %w", err)
	}
	if err := parsed.checkInheritance(asked.env); err != nil {
		return nil, err
	}
	// From here on templates see what the rendered file says.
	view.Versions, view.BaseDomain = parsed.Versions, parsed.BaseDomain
	view.Codex, view.Storage = parsed.Codex, parsed.Storage

	objects := []object{}
	for _, infrastructure := range parsed.Infrastructure {
		documents, err := view.renderItem(infrastructure)
		if err != nil {
			return nil, err
		}
		objects = append(objects, documents...)
	}
	for _, service := range parsed.Services {
		documents, err := view.renderItem(service)
		if err != nil {
			return nil, err
		}
		documents, err = view.adapt(documents, service)
		if err != nil {
			return nil, err
		}
		objects = append(objects, documents...)
	}
	return objects, nil
}

// rawStack is what counts before any templating: texts as they stand in the file.
type rawStack struct {
	Project    string            `yaml:"project"`
	EnvFiles   []string          `yaml:"envFiles"`
	Versions   map[string]string `yaml:"versions"`
	BaseDomain map[string]string `yaml:"baseDomain"`
	Namespace  struct {
		Patterns map[string]string `yaml:"patterns"`
	} `yaml:"namespace"`
}

// stack is the rendered file; the library ignores keys that are not here.
type stack struct {
	Versions       map[string]string      `yaml:"versions"`
	BaseDomain     map[string]string      `yaml:"baseDomain"`
	Codex          codex                  `yaml:"codex"`
	Storage        *storage               `yaml:"storage"`
	Environments   map[string]environment `yaml:"environments"`
	Infrastructure []item                 `yaml:"infrastructure"`
	Services       []item                 `yaml:"services"`
}

type environment struct {
	From string `yaml:"from"`
}

type codex struct {
	PromptLang           string `yaml:"promptLang"`
	Model                string `yaml:"model"`
	ModelReasoningEffort string `yaml:"modelReasoningEffort"`
	ProjectContext       string `yaml:"projectContext"`
	ServicesOverview     string `yaml:"servicesOverview"`
	ConfigTemplate       string `yaml:"configTemplate"`
	Timeouts             struct {
		Exec       string `yaml:"exec"`
		Rollout    string `yaml:"rollout"`
		DeployWait string `yaml:"deployWait"`
	} `yaml:"timeouts"`
	MCP struct {
		Servers []any `yaml:"servers"`
	} `yaml:"mcp"`
}

type storage struct {
	Workspace *volume `yaml:"workspace"`
	Data      *volume `yaml:"data"`
	Registry  *volume `yaml:"registry"`
}

type volume struct {
	Size         string   `yaml:"size"`
	StorageClass string   `yaml:"storageClass"`
	AccessModes  []string `yaml:"accessModes"`
}

type item struct {
	Name      string `yaml:"name"`
	When      string `yaml:"when"`
	Manifests []struct {
		Path string `yaml:"path"`
	} `yaml:"manifests"`
	Image struct {
		Repository  string `yaml:"repository"`
		TagTemplate string `yaml:"tagTemplate"`
	} `yaml:"image"`
	Overlays map[string]overlay `yaml:"overlays"`
}

type overlay struct {
	DropKinds  []string    `yaml:"dropKinds"`
	HostMounts []hostMount `yaml:"hostMounts"`
	PVCMounts  []pvcMount  `yaml:"pvcMounts"`
}

type hostMount struct {
	Name         string `yaml:"name"`
	HostPath     string `yaml:"hostPath"`
	HostPathType string `yaml:"hostPathType"`
	MountPath    string `yaml:"mountPath"`
}

type pvcMount struct {
	Name      string `yaml:"name"`
	ClaimName string `yaml:"claimName"`
	MountPath string `yaml:"mountPath"`
	SubPath   string `yaml:"subPath"`
	ReadOnly  bool   `yaml:"readOnly"`
}

// checkInheritance follows `from`; nothing of what it inherits changes an object.
func (s stack) checkInheritance(name string) error {
	seen := map[string]bool{}
	for name != "" {
		if seen[name] {
			return fmt.Errorf("stack: environment %q inherits from itself", name)
		}
		seen[name] = true
		name = strings.TrimSpace(s.Environments[name].From)
	}
	return nil
}

// view is what templates see: these names and no others.
type view struct {
	Env, Namespace, Project, ProjectRoot string
	Slot                                 int
	Now                                  time.Time
	Vars, UserVars, EnvMap               map[string]string
	Versions, BaseDomain                 map[string]string
	Codex                                codex
	Storage                              *storage
	IssueComments, ReviewComments        []any
}

func newView(asked request, raw rawStack, root string) (*view, error) {
	everything := map[string]string{}
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		everything[name] = value
	}
	for _, name := range raw.EnvFiles {
		values, err := godotenv.Read(filepath.Join(root, name))
		if err != nil {
			return nil, fmt.Errorf("variables: %w", err)
		}
		maps.Copy(everything, values)
	}
	vars, err := readVarFile(asked.varFile)
	if err != nil {
		return nil, err
	}
	userVars, err := splitVars(asked.vars)
	if err != nil {
		return nil, err
	}
	maps.Copy(vars, userVars)
	maps.Copy(everything, vars)
	return &view{
		Env:         asked.env,
		Project:     raw.Project,
		ProjectRoot: root,
		Slot:        asked.slot,
		Now:         asked.now,
		Vars:        vars,
		UserVars:    userVars,
		EnvMap:      everything,
		Versions:    raw.Versions,
		BaseDomain:  raw.BaseDomain,
	}, nil
}

// splitVars takes A=1,B=2 apart; a comma cannot be escaped.
func splitVars(text string) (map[string]string, error) {
	values := map[string]string{}
	for part := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		if name = strings.TrimSpace(name); !found || name == "" {
			return nil, fmt.Errorf("variables: %q is not NAME=VALUE", part)
		}
		values[name] = strings.TrimSpace(value)
	}
	return values, nil
}

// readVarFile reads NAME=VALUE and NAME: VALUE lines; it looks like YAML but is not.
func readVarFile(path string) (map[string]string, error) {
	values := map[string]string{}
	if path == "" {
		return values, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("variables: %w", err)
	}
	for line := range strings.SplitSeq(string(content), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if !found {
			name, value, found = strings.Cut(line, ":")
		}
		if name = strings.TrimSpace(name); !found || name == "" {
			continue
		}
		value = strings.TrimSpace(value)
		for _, quote := range []string{`"`, `'`} {
			value = strings.TrimSuffix(strings.TrimPrefix(value, quote), quote)
		}
		values[name] = value
	}
	return values, nil
}

// findNamespace takes the first answer that is not empty: flag, pattern, built-in name.
func (v *view) findNamespace(given string, patterns map[string]string) (string, error) {
	if given != "" {
		return given, nil
	}
	name, err := v.render("namespace.patterns."+v.Env, patterns[v.Env])
	if err != nil {
		return "", err
	}
	if name = strings.TrimSpace(name); name != "" {
		return name, nil
	}
	switch {
	case v.Env == "ai" && v.Slot > 0:
		return fmt.Sprintf("%s-dev-%d", v.Project, v.Slot), nil
	case v.Env == "ai":
		return "", nil
	case v.Env == "ai-repair":
		return v.Project + "-ai-staging", nil
	}
	return v.Project + "-" + v.Env, nil
}

// render executes one template on its own: no other file's variables or definitions.
func (v *view) render(name, text string) (string, error) {
	parsed, err := template.New(name).Funcs(v.functions()).Parse(text)
	if err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	var written strings.Builder
	if err := parsed.Execute(&written, v); err != nil {
		return "", fmt.Errorf("template: %w", err)
	}
	return written.String(), nil
}

const shaLength = 12

func (v *view) functions() template.FuncMap {
	return template.FuncMap{
		"envOr": func(name, fallback string) string {
			if value := v.EnvMap[name]; value != "" {
				return value
			}
			return fallback
		},
		"default": func(value, fallback string) string {
			if strings.TrimSpace(value) == "" {
				return fallback
			}
			return value
		},
		"ternary": func(condition bool, yes, no any) any {
			if condition {
				return yes
			}
			return no
		},
		"toLower":    strings.ToLower,
		"trimPrefix": strings.TrimPrefix,
		"slug": func(text string) string {
			text = strings.ToLower(strings.TrimSpace(text))
			return strings.NewReplacer(" ", "-", "_", "-").Replace(text)
		},
		"truncSHA": func(text string) string { return text[:min(len(text), shaLength)] },
		"join":     func(list []string, between string) string { return strings.Join(list, between) },
		"indent": func(width int, text string) string {
			if text = strings.TrimRight(text, "\n"); text == "" {
				return ""
			}
			margin := strings.Repeat(" ", width)
			return margin + strings.ReplaceAll(text, "\n", "\n"+margin)
		},
		"now": func() time.Time { return v.Now },
	}
}

// renderItem returns the documents of an item, none if its `when` leaves it out.
func (v *view) renderItem(it item) ([]object, error) {
	when, err := v.render(it.Name+": when", it.When)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(strings.TrimSpace(when)) {
	case "false", "0", "no":
		return nil, nil
	}
	var documents []object
	for _, manifest := range it.Manifests {
		source, err := os.ReadFile(filepath.Join(v.ProjectRoot, manifest.Path))
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		text, err := v.render(manifest.Path, string(source))
		if err != nil {
			return nil, err
		}
		found, err := splitDocuments(text)
		if err != nil {
			return nil, fmt.Errorf("manifest: %s: %w", manifest.Path, err)
		}
		documents = append(documents, found...)
	}
	return documents, nil
}

// splitDocuments parses a YAML stream; documents without content vanish.
func splitDocuments(text string) ([]object, error) {
	var documents []object
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return documents, nil
		} else if err != nil {
			return nil, err
		}
		keepDates(&node)
		var value any
		if err := node.Decode(&value); err != nil {
			return nil, err
		}
		plain, err := plainData(value)
		if err != nil {
			return nil, err
		}
		switch document := plain.(type) {
		case nil:
		case object:
			if len(document) > 0 {
				documents = append(documents, document)
			}
		default:
			return nil, fmt.Errorf("line %d: a document must be a mapping", node.Line)
		}
	}
}

// keepDates turns dates into texts, which the library would make timestamps of.
func keepDates(node *yaml.Node) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!timestamp" {
		node.Tag = "!!str"
	}
	for _, child := range node.Content {
		keepDates(child)
	}
}

// plainData gives every mapping texts as keys, as JSON has them.
func plainData(value any) (any, error) {
	var err error
	switch value := value.(type) {
	case []any:
		for index := range value {
			if value[index], err = plainData(value[index]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for key := range value {
			if value[key], err = plainData(value[key]); err != nil {
				return nil, err
			}
		}
	case map[any]any:
		plain := object{}
		for key, inner := range value {
			name, err := keyText(key)
			if err != nil {
				return nil, err
			}
			if plain[name], err = plainData(inner); err != nil {
				return nil, err
			}
		}
		return plain, nil
	}
	return value, nil
}

func keyText(key any) (string, error) {
	switch key := key.(type) {
	case string:
		return key, nil
	case int, int64, uint64, bool:
		return fmt.Sprint(key), nil
	case float64:
		return strconv.FormatFloat(key, 'g', -1, 64), nil
	}
	return "", fmt.Errorf("%v cannot be a key", key)
}

var clusterWide = []string{
	"Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume",
	"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
}

// adapt does to the documents of a service what its entry in services.yaml says.
func (v *view) adapt(documents []object, service item) ([]object, error) {
	wishes := service.Overlays[v.Env]
	kept := documents[:0]
	for _, document := range documents {
		if wishes.drops(document) {
			continue
		}
		v.setNamespace(document)
		if isDeploymentOf(document, service) {
			if err := v.setImage(document, service); err != nil {
				return nil, err
			}
			setMounts(document, wishes)
		}
		kept = append(kept, document)
	}
	return kept, nil
}

func (o overlay) drops(document object) bool {
	kind, _ := document["kind"].(string)
	return slices.ContainsFunc(o.DropKinds, func(dropped string) bool {
		return strings.EqualFold(strings.TrimSpace(dropped), strings.TrimSpace(kind))
	})
}

func (v *view) setNamespace(document object) {
	kind, _ := document["kind"].(string)
	if v.Namespace == "" || kind == "" || slices.Contains(clusterWide, kind) {
		return
	}
	metadata, isMapping := document["metadata"].(object)
	if !isMapping {
		metadata = object{}
		document["metadata"] = metadata
	}
	if named, _ := metadata["namespace"].(string); strings.TrimSpace(named) == "" {
		metadata["namespace"] = v.Namespace
	}
}

func isDeploymentOf(document object, service item) bool {
	metadata, _ := document["metadata"].(object)
	return document["kind"] == "Deployment" && metadata["name"] == service.Name
}

// setImage changes the first container, and init containers that share its image or have none.
func (v *view) setImage(deployment object, service item) error {
	image := strings.TrimSpace(service.Image.Repository)
	containers := containersOf(deployment, "containers")
	if image == "" || len(containers) == 0 {
		return nil
	}
	tag, err := v.render(service.Name+": tagTemplate", service.Image.TagTemplate)
	if err != nil {
		return err
	}
	if tag = strings.TrimSpace(tag); tag != "" {
		image += ":" + tag
	}
	before, _ := containers[0]["image"].(string)
	containers[0]["image"] = image
	for _, container := range containersOf(deployment, "initContainers") {
		if own, _ := container["image"].(string); own == "" || own == before {
			container["image"] = image
		}
	}
	return nil
}

// setMounts puts the volumes of an overlay in the place of those with the same names.
func setMounts(deployment object, wishes overlay) {
	volumes, mounts, names := wishes.mounts()
	if len(names) == 0 {
		return
	}
	pod := podOf(deployment)
	if pod == nil {
		return
	}
	replace(pod, "volumes", names, volumes)
	containers := containersOf(deployment, "containers")
	changed := containersOf(deployment, "initContainers")
	if len(containers) > 0 {
		changed = append(changed, containers[0])
	}
	for _, container := range changed {
		replace(container, "volumeMounts", names, mounts)
	}
}

// mounts returns volumes, their mounts, and the names that the overlay claims for itself.
func (o overlay) mounts() (volumes, mounts []any, names []string) {
	for _, wish := range o.HostMounts {
		kind := wish.HostPathType
		if kind == "" {
			kind = "Directory"
		}
		if wish.Name != "" && wish.HostPath != "" && wish.MountPath != "" {
			source := object{"path": wish.HostPath, "type": kind}
			volumes = append(volumes, object{"name": wish.Name, "hostPath": source})
		}
		if wish.Name != "" && wish.MountPath != "" {
			mounts = append(mounts, object{"name": wish.Name, "mountPath": wish.MountPath})
		}
		names = append(names, wish.Name)
	}
	for _, wish := range o.PVCMounts {
		if wish.Name != "" && wish.ClaimName != "" && wish.MountPath != "" {
			source := object{"claimName": wish.ClaimName}
			volumes = append(volumes, object{"name": wish.Name, "persistentVolumeClaim": source})
		}
		if wish.Name != "" && wish.MountPath != "" {
			mount := object{"name": wish.Name, "mountPath": wish.MountPath}
			if wish.SubPath != "" {
				mount["subPath"] = wish.SubPath
			}
			if wish.ReadOnly {
				mount["readOnly"] = true
			}
			mounts = append(mounts, mount)
		}
		names = append(names, wish.Name)
	}
	return volumes, mounts, names
}

// replace drops the entries of a list that have one of the names, and appends the new ones.
func replace(parent object, key string, names []string, added []any) {
	present, _ := parent[key].([]any)
	list := slices.DeleteFunc(slices.Clone(present), func(entry any) bool {
		fields, _ := entry.(object)
		name, _ := fields["name"].(string)
		return slices.Contains(names, name)
	})
	if list = append(list, added...); len(list) > 0 || len(present) > 0 {
		parent[key] = list
	}
}

func podOf(deployment object) object {
	spec, _ := deployment["spec"].(object)
	podTemplate, _ := spec["template"].(object)
	pod, _ := podTemplate["spec"].(object)
	return pod
}

func containersOf(deployment object, key string) []object {
	var containers []object
	list, _ := podOf(deployment)[key].([]any)
	for _, entry := range list {
		if container, isMapping := entry.(object); isMapping {
			containers = append(containers, container)
		}
	}
	return containers
}

func printObjects(to io.Writer, objects []object) error {
	var written bytes.Buffer
	encoder := json.NewEncoder(&written)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(objects); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	_, err := written.WriteTo(to)
	return err
}
