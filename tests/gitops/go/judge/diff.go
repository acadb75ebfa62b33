package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/argoproj/gitops-engine/pkg/diff"
	openapi "github.com/google/gnostic-models/openapiv2"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/kube-openapi/pkg/util/proto"
)

// pair is what Git says of an object and what the cluster has.
type pair struct {
	Desired *unstructured.Unstructured `json:"desired"`
	Live    *unstructured.Unstructured `json:"live"`
	// Predicted is the API server's answer to the dry run of a server-side apply; without it that way is left out.
	Predicted json.RawMessage `json:"predicted"`
	// Manager is who applies.
	Manager string `json:"manager"`
}

// way is one of Argo CD's ways to compare.
type way struct {
	// Modified is what Argo CD shows as OutOfSync.
	Modified  bool            `json:"modified"`
	Live      json.RawMessage `json:"live"`
	Predicted json.RawMessage `json:"predicted"`
}

// changes are the ways: the default (three-way where there is a last-applied annotation), the one with ServerSideApply=true, and
// the one with ServerSideDiff=true.
type changes map[string]way

type differ struct {
	parser *managedfields.GvkParser
}

func newDiffer(schema json.RawMessage) (*differ, error) {
	if len(schema) == 0 {
		return &differ{}, nil
	}
	document, err := openapi.ParseDocument(schema)
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	models, err := proto.NewOpenAPIData(document)
	if err != nil {
		return nil, fmt.Errorf("reading the schema's models: %w", err)
	}
	parser, err := managedfields.NewGVKParser(models, false)
	if err != nil {
		return nil, fmt.Errorf("reading the schema's types: %w", err)
	}
	return &differ{parser}, nil
}

// answered is a dry run that has been made already.
type answered json.RawMessage

func (a answered) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	return string(a), nil
}

func (d *differ) compare(each pair) (changes, error) {
	ways := map[string][]diff.Option{"default": {}}
	if d.parser != nil {
		ways["serverSideApply"] = []diff.Option{
			diff.WithStructuredMergeDiff(true), diff.WithGVKParser(d.parser), diff.WithManager(each.Manager),
		}
	}
	if d.parser != nil && len(each.Predicted) > 0 {
		ways["serverSideDiff"] = []diff.Option{
			diff.WithServerSideDiff(true), diff.WithServerSideDryRunner(answered(each.Predicted)),
			diff.WithGVKParser(d.parser), diff.WithManager(each.Manager),
		}
	}
	found := changes{}
	for name, options := range ways {
		result, err := diff.Diff(each.Desired.DeepCopy(), each.Live.DeepCopy(), options...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found[name] = way{result.Modified, result.NormalizedLive, result.PredictedLive}
	}
	return found, nil
}
