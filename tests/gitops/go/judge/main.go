// Judge says what GitOps engines make of objects: Argo CD's health (its Lua VM, with the scripts given) and diff, kstatus, and Flux's
// health expressions. It reads one JSON document on standard input and writes one. It asks no cluster; what should come out does
// not belong here.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/engine"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// question is what is asked: the rules, and the objects to judge by them.
type question struct {
	// Scripts are Argo CD's health scripts, by "group/Kind".
	Scripts map[string]string `json:"scripts"`
	// Expressions are Flux's, as spec.healthCheckExprs of a Kustomization has them.
	Expressions []kustomize.CustomHealthCheck `json:"expressions"`
	// Schema is the API server's answer to /openapi/v2; it is needed for the diff of server-side apply.
	Schema json.RawMessage `json:"schema"`
	// Health are live objects to judge the health of.
	Health []*unstructured.Unstructured `json:"health"`
	// Diffs are pairs to compare.
	Diffs []pair `json:"diffs"`
	// Engines are objects of Argo CD's and Flux's own kinds, to be read as strictly as can be.
	Engines []json.RawMessage `json:"engines"`
}

// verdict is what each engine says of one object.
type verdict struct {
	Argo    health.HealthStatus `json:"argo"`
	Kstatus string              `json:"kstatus"`
	Flux    string              `json:"flux"`
}

type answer struct {
	Health []verdict `json:"health"`
	Diffs  []changes `json:"diffs"`
	// Engines are why an object is none of its kind; empty where it is one.
	Engines []string `json:"engines"`
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return fmt.Errorf("reading the question: %w", err)
	}
	judge, err := newJudge(ctx, asked)
	if err != nil {
		return err
	}
	said := answer{Health: []verdict{}, Diffs: []changes{}, Engines: []string{}}
	for _, object := range asked.Health {
		each, err := judge.verdict(ctx, object)
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		said.Health = append(said.Health, each)
	}
	differ, err := newDiffer(asked.Schema)
	if err != nil {
		return err
	}
	for _, each := range asked.Diffs {
		found, err := differ.compare(each)
		if err != nil {
			return fmt.Errorf("%s %s: %w", each.Live.GetKind(), each.Live.GetName(), err)
		}
		said.Diffs = append(said.Diffs, found)
	}
	for _, each := range asked.Engines {
		said.Engines = append(said.Engines, misread(each))
	}
	return json.NewEncoder(os.Stdout).Encode(said)
}

type judge struct {
	scripts     lua.ResourceHealthOverrides
	expressions map[schema.GroupKind]engine.StatusReader
}

func newJudge(ctx context.Context, asked question) (*judge, error) {
	made := &judge{lua.ResourceHealthOverrides{}, map[schema.GroupKind]engine.StatusReader{}}
	for kind, script := range asked.Scripts {
		made.scripts[kind] = v1alpha1.ResourceOverride{HealthLua: script}
	}
	for _, each := range asked.Expressions {
		evaluator, err := cel.NewStatusEvaluator(&each.HealthCheckExpressions)
		if err != nil {
			return nil, fmt.Errorf("healthCheckExprs of %s: %w", each.Kind, err)
		}
		kind := schema.FromAPIVersionAndKind(each.APIVersion, each.Kind).GroupKind()
		made.expressions[kind] = cel.NewStatusReader(ctx, nil, kind, evaluator)
	}
	return made, nil
}

func (j *judge) verdict(ctx context.Context, object *unstructured.Unstructured) (verdict, error) {
	argo, err := health.GetResourceHealth(object, j.scripts)
	if err != nil {
		return verdict{}, fmt.Errorf("Argo CD: %w", err)
	}
	if argo == nil {
		return verdict{}, errors.New("Argo CD has no health check for it")
	}
	plain, err := status.Compute(object)
	if err != nil {
		return verdict{}, fmt.Errorf("kstatus: %w", err)
	}
	reader, ok := j.expressions[object.GroupVersionKind().GroupKind()]
	if !ok {
		return verdict{}, errors.New("Flux has no expressions for it")
	}
	// What cannot be evaluated, such as an object without a status, Flux calls Unknown and asks for again.
	flux, err := reader.ReadStatusForObject(ctx, nil, object)
	if err != nil {
		return verdict{}, fmt.Errorf("Flux: %w", err)
	}
	return verdict{*argo, plain.Status.String(), flux.Status.String()}, nil
}
