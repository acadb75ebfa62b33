{{/*
What several policies share. Accounts are constants that the chart renders, not parameters: a missing
parameter would refuse every request, or switch the policy off.
*/}}

{{/* The operator's own account, as the API server calls it. */}}
{{- define "modelyard.policies.operator" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "modelyard.serviceAccountName" . }}
{{- end -}}

{{/*
Deletions by accounts that act for nobody: a namespace that is deleted takes its objects with it, and the garbage collector carries out
an earlier decision. Neither has a person's rights. (The last is the name of both where the controller manager has no account for each of
its controllers.)
*/}}
{{- define "modelyard.policies.notDeletedByACollector" -}}
- name: not-deleted-by-a-collector
  expression: >-
    request.operation != 'DELETE' || !(request.userInfo.username in ['system:serviceaccount:kube-system:namespace-controller',
    'system:serviceaccount:kube-system:generic-garbage-collector', 'system:kube-controller-manager'])
{{- end -}}

{{/* Accounts that may change what serves: the operator's, Kubernetes' own, and those of policies.servingAccounts. */}}
{{- define "modelyard.policies.machinery" -}}
{{- concat (list (include "modelyard.policies.operator" .) "system:kube-scheduler" "system:kube-controller-manager") .Values.policies.servingAccounts | toJson -}}
{{- end -}}

{{- define "modelyard.policies.notByTheMachinery" -}}
!(request.userInfo.username in {{ include "modelyard.policies.machinery" . }})
&& !('system:serviceaccounts:kube-system' in request.userInfo.?groups.orValue([]))
{{- end -}}

{{/*
Variables that say whether the request sets an owner reference that can become a deletion: a new one, or one that remains after another was
removed. apiVersion, kind and name count as much as the uid; controller, blockOwnerDeletion and the order do not.
*/}}
{{- define "modelyard.policies.owners" -}}
- name: owners
  expression: "object == null ? [] : object.metadata.?ownerReferences.orValue([]).map(r, [r.apiVersion, r.kind, r.name, r.uid])"
- name: ownersBefore
  expression: "oldObject == null ? [] : oldObject.metadata.?ownerReferences.orValue([]).map(r, [r.apiVersion, r.kind, r.name, r.uid])"
- name: adopted
  expression: >-
    variables.owners.exists(r, !(r in variables.ownersBefore))
    || variables.owners.size() > 0 && variables.owners.size() < variables.ownersBefore.size()
    && request.userInfo.username != 'system:serviceaccount:kube-system:generic-garbage-collector'
{{- end -}}

{{/*
Variables may0 to may7, and the expression over them: whether the user has a verb on each stage in `touched` of the model that `right` names.
An expression may ask the authorizer twice, so each variable asks for two stages; 16 cost 5,600,000. Takes the verb.
*/}}
{{- define "modelyard.policies.mayDo" -}}
{{- $verb := . -}}
{{- range $pair := until 8 }}
- name: may{{ $pair }}
  expression: >-
    variables.touched.all(s, variables.touched.indexOf(s) / 2 != {{ $pair }} || variables.right.subresource(s).check('{{ $verb }}').allowed())
{{- end }}
{{- end -}}

{{- define "modelyard.policies.mayPromote" -}}
{{ include "modelyard.policies.mayDo" "promote" }}
{{- end -}}

{{/* What `promote` is needed on, for a message: an expression's list of stages as resources. */}}
{{- define "modelyard.policies.ofStages" -}}
{{ . }}.map(s, 'registeredmodels/' + s).join(', ')
{{- end -}}

{{- define "modelyard.policies.mayPromoteAll" -}}
variables.may0 && variables.may1 && variables.may2 && variables.may3 && variables.may4 && variables.may5 && variables.may6 && variables.may7
{{- end -}}

{{/*
The table of ValidatingAdmissionPolicies. The spec of the policy NAME is the template modelyard.policies.NAME: a new one is a line here, a
template, a value and its rows in tests/chart/policies.
  value     the value below `policies` that switches it on
  scoped    it excepts this release's operator, so it holds only in the namespaces that this release serves: two releases would refuse
            each other's operator. The others hold in the whole cluster.
  models    it reads every RegisteredModel of the request's namespace, as a parameter
For all of them:
- apiVersions names one version. Requests in other served versions are converted to it (matchPolicy: Equivalent, the default). With "*", a
  later version with renamed fields would pass unchecked.
- CEL allows two authorizer checks per expression (350,000 each of 1,000,000) and 28 per policy (of 10,000,000). A variable is an
  expression of its own, so more checks need more variables.
- A messageExpression has no authorizer, and no variable that has one. It is evaluated for every request, also for those that pass. If it
  fails or exceeds 5 KiB, `message` is used.
*/}}
{{- define "modelyard.policies.enabled" -}}
{{- $table := list
  (dict "name" "promote" "value" "promote")
  (dict "name" "override" "value" "override")
  (dict "name" "purge" "value" "purge")
  (dict "name" "keep" "value" "keep")
  (dict "name" "keep-versions" "value" "keep")
  (dict "name" "keep-runs" "value" "keep" "models" true)
  (dict "name" "runs" "value" "runs" "models" true)
  (dict "name" "requester" "value" "approvals")
  (dict "name" "approval" "value" "approvals" "scoped" true)
  (dict "name" "status" "value" "status" "scoped" true)
  (dict "name" "serving" "value" "serving" "scoped" true)
  (dict "name" "serving-workloads" "value" "serving" "scoped" true)
  (dict "name" "serving-scale" "value" "serving" "scoped" true)
  (dict "name" "serving-evidence" "value" "serving" "scoped" true)
  (dict "name" "names" "value" "names" "scoped" true "models" true)
  (dict "name" "operator-fence" "value" "fence")
}}
{{- $enabled := list -}}
{{- range $policy := $table -}}
{{- if index $.Values.policies $policy.value -}}
{{- $name := printf "%s-%s" (include "modelyard.fullname" $) $policy.name -}}
{{- $enabled = append $enabled (merge (dict "name" $name "spec" (printf "modelyard.policies.%s" $policy.name)) $policy) -}}
{{- end -}}
{{- end -}}
{{- dict "items" $enabled | toJson -}}
{{- end -}}

{{/* The spec of a policy's binding. Takes (dict "root" $ "policy" <an item of the table>). */}}
{{- define "modelyard.policies.binding" -}}
{{- $watched := (include "modelyard.watched" .root | fromJson).items -}}
policyName: {{ .policy.name | quote }}
validationActions: [Deny]
{{- if .policy.models }}
paramRef:
  selector: {}
  parameterNotFoundAction: Allow
{{- end }}
{{- if and .policy.scoped $watched }}
matchResources:
  namespaceSelector:
    matchExpressions:
    # The API server sets this label, and nobody can change it.
    - key: kubernetes.io/metadata.name
      operator: In
      values:
        {{- toYaml $watched | nindent 8 }}
{{- end }}
{{- end -}}

{{/*
What the operator compares with the policies in force (operator/modelyard/kube/policies.py): name=<policy>/<binding>, each the first 16 digits
of the SHA-256 of its spec as JSON.
*/}}
{{- define "modelyard.policies.expected" -}}
{{- $out := list -}}
{{- range (include "modelyard.policies.enabled" . | fromJson).items -}}
{{- $policy := include .spec $ | fromYaml | toJson | sha256sum | trunc 16 -}}
{{- $binding := include "modelyard.policies.binding" (dict "root" $ "policy" .) | fromYaml | toJson | sha256sum | trunc 16 -}}
{{- $out = append $out (printf "%s=%s/%s" .name $policy $binding) -}}
{{- end -}}
{{- join "," $out -}}
{{- end -}}
