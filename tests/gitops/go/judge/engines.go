package main

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	kustomize "github.com/fluxcd/kustomize-controller/api/v1"
	source "github.com/fluxcd/source-controller/api/v1"
)

// kinds are Argo CD's and Flux's own, by apiVersion and kind.
var kinds = map[string]func() any{
	"argoproj.io/v1alpha1/Application":             func() any { return &v1alpha1.Application{} },
	"kustomize.toolkit.fluxcd.io/v1/Kustomization": func() any { return &kustomize.Kustomization{} },
	"source.toolkit.fluxcd.io/v1/GitRepository":    func() any { return &source.GitRepository{} },
}

// misread says why a document is not what its kind says; empty where it is.
func misread(document json.RawMessage) string {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return err.Error()
	}
	made, ok := kinds[head.APIVersion+"/"+head.Kind]
	if !ok {
		return fmt.Sprintf("no kind %s of %s is known", head.Kind, head.APIVersion)
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(made()); err != nil {
		return err.Error()
	}
	return ""
}
