{{/* Keep the declaration of a version that a stage uses, and the TrainingRun or Experiment that it came from. */}}

{{/*
Variable `held`: how stages use the versions in `gone`, in words, by the status in `stages`. Gates, approvals and soaks are about a candidate;
`previous` has an end while it is kept for a rollback, or is what a watch rolls back to. Only the operator writes the status.
*/}}
{{- define "modelyard.policies.held" -}}
- name: held
  expression: >-
    variables.stages.filter(s, variables.stages[s].?version.orValue('') in variables.gone).map(s, s + ' is at ' + variables.stages[s].version)
    + variables.stages.filter(s, variables.stages[s].?candidate.?version.orValue('') in variables.gone)
    .map(s, s + ' is promoting ' + variables.stages[s].candidate.version)
    + variables.stages.filter(s, variables.stages[s].?previous.?version.orValue('') in variables.gone
    && (variables.stages[s].previous.?untilTime.hasValue() || variables.stages[s].?watch.?displaced.hasValue()))
    .map(s, s + ' keeps ' + variables.stages[s].previous.version + ' for a rollback until '
    + string(variables.stages[s].previous.?untilTime.orValue(variables.stages[s].?watch.?untilTime.orValue(''))))
{{- end -}}

{{- define "modelyard.policies.keep-versions" -}}
# No user can remove the declaration of a version that is effective in a stage, is being promoted, or is kept for a rollback.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [UPDATE], resources: [registeredmodels]}
variables:
- {name: stages, expression: "dyn(oldObject).?status.?stages.orValue({})"}
- {name: after, expression: "dyn(object.spec).?versions.orValue({})"}
- {name: gone, expression: "dyn(oldObject.spec).?versions.orValue({}).filter(v, !(v in variables.after))"}
{{ include "modelyard.policies.held" . }}
validations:
- expression: "variables.held.size() == 0"
  messageExpression: >-
    'the declaration cannot be removed: of ' + request.namespace + '/' + oldObject.metadata.name + ' ' + variables.held.join(', ')
    + '. Give the stage another version or clear it, and remove the declaration once the status shows it'
  message: "a version that a stage is at, is promoting, or keeps for a rollback cannot be removed from spec.versions: give the stage another version first"
  reason: Forbidden
{{- end -}}

{{- define "modelyard.policies.keep-runs" -}}
# Nor can a user delete the TrainingRun that such a version came from (gates read it), or an Experiment with deletionPolicy: Delete that has its
# files; the garbage collector retries. Deleting the namespace deletes everything, and a model that is being deleted keeps nothing.
failurePolicy: Fail
paramKind: {apiVersion: modelyard.io/v1alpha1, kind: RegisteredModel}
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [DELETE], resources: [trainingruns, experiments]}
matchConditions:
- name: not-with-its-namespace
  expression: >-
    !(request.userInfo.username in ['system:serviceaccount:kube-system:namespace-controller', 'system:kube-controller-manager'])
variables:
- {name: thing, expression: "dyn(oldObject)"}
- name: stages
  expression: "has(params.metadata.deletionTimestamp) ? dyn({}) : dyn(params).?status.?stages.orValue({})"
# A TrainingRun of the same name that was created later is another one, as its MLflow run differs.
- name: came
  expression: >-
    dyn(params).?status.?versions.orValue([]).filter(e, request.resource.resource == 'trainingruns'
    ? e.?trainingRun.orValue('') == variables.thing.metadata.name && e.?runId.orValue('-') == variables.thing.?status.?mlflow.?runId.orValue('')
    : variables.thing.spec.?deletionPolicy.orValue('Retain') == 'Delete'
    && e.?uri.orValue('').startsWith(variables.thing.?status.?artifacts.?uri.orValue('-')))
- {name: gone, expression: "variables.came.map(e, e.name)"}
{{ include "modelyard.policies.held" . }}
validations:
- expression: "variables.held.size() == 0"
  messageExpression: >-
    variables.thing.metadata.name + ' cannot be deleted: of ' + params.metadata.name + ' ' + variables.held.join(', ')
    + (request.resource.resource == 'trainingruns' ? ', which it trained' : ', whose files it would delete')
    + '. Give the stage another version or clear it, and delete ' + variables.thing.metadata.name + ' once the status shows it'
  message: "a stage is at, is promoting, or keeps for a rollback a version that came from it: give the stage another version first"
  reason: Forbidden
{{- end -}}
