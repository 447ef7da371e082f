// Command bare applies a folder of manifests as fast as the API server takes them: 16 server-side
// applies in flight, no limit of the rate, no order, no retries, nothing read before or after. It is
// the physical limit that codexctl is measured against.
//
//	bare FOLDER NAMESPACE
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

const inFlight = 16

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: bare FOLDER NAMESPACE")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder, namespace string) error {
	objects, err := load(folder)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	config.QPS = -1 // no limit
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return err
	}
	groups, err := restmapper.GetAPIGroupResources(client)
	if err != nil {
		return err
	}
	return applyAll(client.RESTClient(), restmapper.NewDiscoveryRESTMapper(groups), objects, namespace)
}

// load reads every document of every file.
func load(folder string) ([]*unstructured.Unstructured, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		decoder := yaml.NewYAMLOrJSONDecoder(file, 4096)
		for {
			object := &unstructured.Unstructured{}
			if err = decoder.Decode(&object.Object); err != nil {
				break
			}
			if len(object.Object) > 0 {
				objects = append(objects, object)
			}
		}
		file.Close()
		if !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return objects, nil
}

// applyAll sends every object, inFlight at a time, and returns the refusals.
func applyAll(
	client rest.Interface, mapper meta.RESTMapper, objects []*unstructured.Unstructured, namespace string,
) error {
	queue := make(chan *unstructured.Unstructured)
	refusals := make([]error, inFlight)
	var workers sync.WaitGroup
	for n := range inFlight {
		workers.Go(func() {
			for object := range queue {
				if err := apply(client, mapper, object, namespace); err != nil {
					refusals[n] = errors.Join(refusals[n], fmt.Errorf("%s: %w", object.GetName(), err))
				}
			}
		})
	}
	for _, object := range objects {
		queue <- object
	}
	close(queue)
	workers.Wait()
	return errors.Join(refusals...)
}

func apply(client rest.Interface, mapper meta.RESTMapper, object *unstructured.Unstructured, namespace string) error {
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	root := "/apis"
	if kind.Group == "" {
		root = "/api"
	}
	path := []string{root, kind.GroupVersion().String()}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		path = append(path, "namespaces", namespace)
	}
	path = append(path, mapping.Resource.Resource, url.PathEscape(object.GetName()))
	body, err := json.Marshal(object.Object)
	if err != nil {
		return err
	}
	return client.Patch(types.ApplyPatchType).
		AbsPath(path...).
		Param("fieldManager", "bare").
		Param("force", "true").
		Body(body).
		Do(context.Background()).
		Error()
}
