{{/*
Parts that several policies share. Accounts are constants that the chart renders, not parameters: with a missing
parameter a policy would refuse every request, or be off.
*/}}

{{/* The operator's own account, by its name in the API server. */}}
{{- define "modelyard.policies.operator" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "modelyard.serviceAccountName" . }}
{{- end -}}

{{/*
Excludes deletions by controllers: the namespace controller deletes the objects of a deleted namespace, and the garbage collector carries
out an earlier decision. Neither has a user's rights. (The last account stands for both, where the controller manager has no separate account
for each controller.)
*/}}
{{- define "modelyard.policies.notDeletedByACollector" -}}
- name: not-deleted-by-a-collector
  expression: >-
    request.operation != 'DELETE' || !(request.userInfo.username in ['system:serviceaccount:kube-system:namespace-controller',
    'system:serviceaccount:kube-system:generic-garbage-collector', 'system:kube-controller-manager'])
{{- end -}}

{{/* Accounts that may change objects that serve: the operator's, Kubernetes' own, and those of policies.servingAccounts. */}}
{{- define "modelyard.policies.machinery" -}}
{{- concat (list (include "modelyard.policies.operator" .) "system:kube-scheduler" "system:kube-controller-manager") .Values.policies.servingAccounts | toJson -}}
{{- end -}}

{{- define "modelyard.policies.notByTheMachinery" -}}
!(request.userInfo.username in {{ include "modelyard.policies.machinery" . }})
&& !('system:serviceaccounts:kube-system' in request.userInfo.?groups.orValue([]))
{{- end -}}

{{/*
Variables for whether the request sets an owner reference that can lead to a deletion: a new one, or one that remains after another was
removed. apiVersion, kind, name and uid are compared; controller, blockOwnerDeletion and the order are not.
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
Variables may0 to may7: whether the user has a verb on each stage in `touched` of the model that `right` names. An expression may ask the
authorizer twice, so each variable asks for two stages; 16 stages cost 5,600,000. Takes the verb.
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

{{/* The resources that `promote` is needed on, for a message. Takes an expression with a list of stages. */}}
{{- define "modelyard.policies.ofStages" -}}
{{ . }}.map(s, 'registeredmodels/' + s).join(', ')
{{- end -}}

{{- define "modelyard.policies.mayPromoteAll" -}}
variables.may0 && variables.may1 && variables.may2 && variables.may3 && variables.may4 && variables.may5 && variables.may6 && variables.may7
{{- end -}}

{{/*
The table of ValidatingAdmissionPolicies. The spec of the policy NAME is the template modelyard.policies.NAME: a new policy is a line here, a
template, a value and its rows in tests/chart/policies.
  value     the value under `policies` that enables it
  scoped    it exempts this release's operator, so it applies only in the namespaces that this release watches: otherwise two releases would
            refuse each other's operator. The others apply in the whole cluster.
  models    it reads every RegisteredModel of the request's namespace, as a parameter
For all of them:
- apiVersions names one version. Requests in other served versions are converted to it (matchPolicy: Equivalent, the default). With "*", a
  later version with renamed fields would pass unchecked.
- CEL allows two authorizer checks per expression (350,000 each of 1,000,000) and 28 per policy (of 10,000,000). A variable is an
  expression of its own, so more checks need more variables.
- A messageExpression cannot use the authorizer, or a variable that uses it. It is evaluated for every request, also for those that pass. If
  it fails or exceeds 5 KiB, `message` is used.
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
    # The API server sets this label, and no user can change it.
    - key: kubernetes.io/metadata.name
      operator: In
      values:
        {{- toYaml $watched | nindent 8 }}
{{- end }}
{{- end -}}

{{/*
For the operator, which compares this with the policies in force (operator/modelyard/kube/policies.py): name=<policy>/<binding>, each the first
16 digits of the SHA-256 of its spec as JSON.
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
