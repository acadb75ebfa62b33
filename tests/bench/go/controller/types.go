package main

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Experiment is the kind as far as this operator needs it.
type Experiment struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              Spec   `json:"spec"`
	Status            Status `json:"status,omitempty"`
}

// Spec is what a user writes.
type Spec struct {
	Description    string            `json:"description,omitempty"`
	Tags           map[string]string `json:"tags,omitempty"`
	Objective      *Objective        `json:"objective,omitempty"`
	DeletionPolicy string            `json:"deletionPolicy,omitempty"`
}

// Objective names the best run.
type Objective struct {
	Metric string `json:"metric"`
	Goal   string `json:"goal"`
}

// Status is what this operator says.
type Status struct {
	ObservedGeneration int64              `json:"observedGeneration,omitempty"`
	Conditions         []metav1.Condition `json:"conditions,omitempty"`
}

// DeepCopyObject copies all of it.
func (in *Experiment) DeepCopyObject() runtime.Object {
	out := *in
	in.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	if in.Spec.Tags != nil {
		out.Spec.Tags = make(map[string]string, len(in.Spec.Tags))
		for key, value := range in.Spec.Tags {
			out.Spec.Tags[key] = value
		}
	}
	if in.Spec.Objective != nil {
		objective := *in.Spec.Objective
		out.Spec.Objective = &objective
	}
	if in.Status.Conditions != nil {
		out.Status.Conditions = make([]metav1.Condition, len(in.Status.Conditions))
		for index := range in.Status.Conditions {
			in.Status.Conditions[index].DeepCopyInto(&out.Status.Conditions[index])
		}
	}
	return &out
}

// ExperimentList is a list of them.
type ExperimentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []Experiment `json:"items"`
}

// DeepCopyObject copies all of it.
func (in *ExperimentList) DeepCopyObject() runtime.Object {
	out := *in
	in.ListMeta.DeepCopyInto(&out.ListMeta)
	if in.Items != nil {
		out.Items = make([]Experiment, len(in.Items))
		for index := range in.Items {
			out.Items[index] = *(in.Items[index].DeepCopyObject().(*Experiment))
		}
	}
	return &out
}
