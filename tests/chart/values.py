"""Sets of values that the chart must render correctly, one for each of its features."""

from __future__ import annotations

from typing import Any

__all__ = ["CREDIT", "RISK", "SETS"]

RISK: dict[str, Any] = {
    "namespace": "risk",
    "mlflow": {
        "uri": "https://mlflow.example.com",
        "username": "risk",
        "password": "mlflow-secret-of-risk",
    },
    "s3": {
        "endpoint": "https://s3.example.com:9000",
        "accessKey": "AKRISK",
        "secretKey": "s3-secret-of-risk",
    },
}
CREDIT: dict[str, Any] = {
    "namespace": "credit",
    "createNamespace": True,
    "labels": {"modelyard.io/allow-code-models": "true"},
    "mlflow": {"uri": "http://mlflow.credit:5000", "token": "mlflow-token-of-credit"},
    "s3": {
        "endpoint": "http://minio.credit:9000",
        "accessKey": "AKCREDIT",
        "secretKey": "s3-secret-of-credit",
        "bucket": "credit-artifacts",
        "region": "eu-central-1",
        "readBuckets": ["datasets", "shared-datasets"],
    },
    "extraEgress": [{"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]}],
}

SETS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "two replicas": {"replicas": 2},
    "no replica": {"replicas": 0},
    "tenants": {"tenants": [RISK, CREDIT, {"namespace": "vault", "existingSecret": True}]},
    "some namespaces": {"watchNamespaces": ["alpha", "beta"], "tenants": [RISK]},
    "removed namespace": {"tenants": [CREDIT | {"keepNamespace": False}]},
    "demo": {"demo": {"enabled": True}},
    "demo in some namespaces": {"demo": {"enabled": True}, "watchNamespaces": ["alpha"]},
    "demo without claims": {
        "demo": {
            "enabled": True,
            "mlflow": {"persistence": {"enabled": False}},
            "minio": {"persistence": {"enabled": False}},
        }
    },
    "demo on a database": {
        "demo": {
            "enabled": True,
            "mlflow": {"backendStoreUri": "postgresql://mlflow:db-secret@db/mlflow", "workers": 2},
        }
    },
    "demo on a database in a Secret": {
        "demo": {"enabled": True, "mlflow": {"backendStoreSecret": {"name": "database"}}}
    },
    "demo with keys of its own": {
        "demo": {
            "enabled": True,
            "minio": {"rootUser": "somebody", "rootPassword": "root-secret-of-minio"},
        }
    },
    "demo with a Secret": {
        "demo": {"enabled": True, "minio": {"existingSecret": "keys", "console": True}}
    },
    "demo of other images": {
        "demo": {
            "enabled": True,
            "tenant": {"namespace": "play", "createNamespace": False},
            "mlflow": {
                "image": {
                    "repository": "ghcr.io/mlflow/mlflow",
                    "tag": "v3.5.0",
                    "pullPolicy": "Always",
                },
                "port": 80,
                "allowedHosts": ["mlflow.example.com"],
                "persistence": {"storageClass": "fast", "size": "20Gi"},
                "extraEnv": [{"name": "MLFLOW_LOGGING_LEVEL", "value": "DEBUG"}],
                "extraEgress": [{"ports": [{"protocol": "TCP", "port": 5432}]}],
            },
            "minio": {
                "port": 9900,
                "bucket": "other-bucket",
                "persistence": {"storageClass": "slow"},
            },
        }
    },
    "purge": {
        "purge": {
            "enabled": True,
            "backendStoreSecret": "database",
            "olderThan": "12h",
            "schedule": "@daily",
            "dryRun": True,
        }
    },
    "demo without purging": {"demo": {"enabled": True, "purge": False}},
    "nothing kept": {"crds": {"keep": False}},
    "nothing kept of all": {"crds": {"keep": False}, "demo": {"enabled": True}},
    "no CRDs": {"crds": {"install": False}},
    "no hook": {"crds": {"keep": False}, "uninstallHook": {"enabled": False}},
    "no policies": {
        "policies": dict.fromkeys(
            ("promote", "purge", "keep", "runs", "status", "serving", "names", "fence"), False
        )
    },
    "no network policies": {"networkPolicy": {"enabled": False}, "demo": {"enabled": True}},
    "network": {
        "tenants": [RISK],
        "networkPolicy": {
            "apiServerPorts": [16443],
            "dnsPorts": [53, 8053],
            "mlflowPorts": [443],
            "s3Ports": [443],
            "metricsFrom": [
                {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
                    }
                }
            ],
            "servingFrom": [{"podSelector": {"matchLabels": {"app": "checkout"}}}],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}],
        },
    },
    "events": {
        "events": {
            "sink": "https://events.example.com:8443/modelyard?team=risk",
            "tokenSecret": {"name": "opener", "key": "1e3"},
        },
        "networkPolicy": {"mlflowPorts": [5000], "s3Ports": [9000]},
    },
    "events without a token": {
        "events": {"sink": "http://broker-ingress.knative-eventing.svc.cluster.local/risk/default"}
    },
    "no roles": {
        "rbac": {"create": False, "userRoles": False},
        "serviceAccount": {"create": False, "name": "there-already"},
    },
    "service account": {
        "serviceAccount": {"name": "model-operator", "annotations": {"example.com/role": "models"}}
    },
    "metrics": {
        "metrics": {
            "service": {"annotations": {"example.com/scrape": "true"}},
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        }
    },
    "no metrics": {"metrics": {"service": {"enabled": False}}},
    "names": {
        "fullnameOverride": "yard",
        "commonLabels": {"team": "platform"},
        "clusterDomain": "example.internal",
        "demo": {"enabled": True},
    },
    "everything of a pod": {
        "image": {
            "repository": "registry.example.com:5000/modelyard/operator",
            "digest": "sha256:" + "a" * 64,
            "pullPolicy": "Always",
        },
        "runtime": {"image": {"tag": "1.2.3"}},
        "imagePullSecrets": [{"name": "registry"}],
        "log": {"format": "text", "level": "debug"},
        "reconcile": {"workers": 5, "resyncSeconds": 60},
        "extraEnv": [{"name": "MODELYARD_PAGE_SIZE", "value": "100"}],
        "podLabels": {"example.com/tier": "control"},
        "podAnnotations": {"example.com/note": "hello"},
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "tolerations": [{"key": "control", "operator": "Exists"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
                    ]
                }
            }
        },
        "priorityClassName": "system-cluster-critical",
        "demo": {"enabled": True},
    },
}
