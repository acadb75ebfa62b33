// controller is the least operator that one writes with controller-runtime: it watches Experiments with ten workers and writes one
// status an object. The bench measures modelyard beside it.
package main

import (
	"context"
	"flag"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

type reconciler struct {
	client.Client
}

// Reconcile says Ready for the spec as it is; it writes nothing where that is said already.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var experiment Experiment
	if err := r.Get(ctx, request.NamespacedName, &experiment); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if experiment.DeletionTimestamp != nil || experiment.Status.ObservedGeneration == experiment.Generation {
		return ctrl.Result{}, nil
	}
	experiment.Status.ObservedGeneration = experiment.Generation
	for _, each := range []metav1.Condition{
		{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Synced", Message: "MLflow and the bucket agree with the spec."},
		{Type: "Reconciling", Status: metav1.ConditionFalse, Reason: "Synced"},
		{Type: "Stalled", Status: metav1.ConditionFalse, Reason: "Synced"},
	} {
		each.ObservedGeneration = experiment.Generation
		meta.SetStatusCondition(&experiment.Status.Conditions, each)
	}
	return ctrl.Result{}, r.Status().Update(ctx, &experiment)
}

func main() {
	metrics := flag.String("metrics", "127.0.0.1:0", "address of /metrics")
	namespace := flag.String("namespace", "modelyard-system", "namespace of the Lease")
	flag.Parse()
	ctrl.SetLogger(zap.New())
	if err := run(*metrics, *namespace); err != nil {
		ctrl.Log.Error(err, "ended")
		os.Exit(1)
	}
}

func run(metrics, namespace string) error {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	version := schema.GroupVersion{Group: "modelyard.io", Version: "v1alpha1"}
	scheme.AddKnownTypes(version, &Experiment{}, &ExperimentList{})
	metav1.AddToGroupVersion(scheme, version)

	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	config.QPS = -1 // no limit of the client's own: the other side has none
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Metrics:                       metricsserver.Options{BindAddress: metrics},
		LeaderElection:                true,
		LeaderElectionID:              "bench-controller-runtime",
		LeaderElectionNamespace:       namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return err
	}
	err = ctrl.NewControllerManagedBy(manager).
		For(&Experiment{}).
		Named("experiments").
		WithOptions(controller.Options{MaxConcurrentReconciles: 10}).
		Complete(&reconciler{manager.GetClient()})
	if err != nil {
		return err
	}
	return manager.Start(ctrl.SetupSignalHandler())
}
