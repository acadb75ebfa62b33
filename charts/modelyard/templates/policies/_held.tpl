{{/* What a stage holds cannot be taken away: neither its declaration, nor the TrainingRun or Experiment that it came from. */}}

{{/*
Variable `held`: what stages do with the versions in `gone`, in words, by the status in `stages`. A candidate is what gates, approvals and soaks
speak of; `previous` has an end while it is kept for a rollback, or is what a watch goes back to. Only the operator writes the status.
*/}}
{{- define "modelyard.policies.held" -}}
- name: held
  expression: >-
    variables.stages.filter(s, variables.stages[s].?version.orValue('') in variables.gone).map(s, s + ' holds ' + variables.stages[s].version)
    + variables.stages.filter(s, variables.stages[s].?candidate.?version.orValue('') in variables.gone)
    .map(s, s + ' is taking ' + variables.stages[s].candidate.version)
    + variables.stages.filter(s, variables.stages[s].?previous.?version.orValue('') in variables.gone
    && (variables.stages[s].previous.?untilTime.hasValue() || variables.stages[s].?watch.?displaced.hasValue()))
    .map(s, s + ' keeps ' + variables.stages[s].previous.version + ' for a rollback until '
    + string(variables.stages[s].previous.?untilTime.orValue(variables.stages[s].?watch.?untilTime.orValue(''))))
{{- end -}}

{{- define "modelyard.policies.keep-versions" -}}
# The declaration of a version that a stage holds, is taking, or keeps for a rollback is not removed, whoever asks.
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
    'of ' + request.namespace + '/' + oldObject.metadata.name + ' ' + variables.held.join(', ')
    + ': its declaration is kept until then. Give the stage another version first, or clear it, and remove the declaration when the status says so'
  message: "a version that a stage holds, is taking, or keeps for a rollback is not removed from spec.versions: give the stage another version first"
  reason: Forbidden
{{- end -}}

{{- define "modelyard.policies.keep-runs" -}}
# Nor is the TrainingRun that such a version came from (gates read it), or an Experiment with deletionPolicy: Delete that has its files; the
# garbage collector tries again. A namespace that is deleted takes everything with it, and a model that is being deleted holds nothing back.
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
# A TrainingRun of the same name that was made later is another one, by its MLflow run.
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
    variables.thing.metadata.name + ' is kept: of ' + params.metadata.name + ' ' + variables.held.join(', ')
    + (request.resource.resource == 'trainingruns' ? ', which it trained' : ', whose files would go with it')
    + '. Give the stage another version first, or clear it, and delete it when the status says so'
  message: "a stage holds, is taking, or keeps for a rollback a version that came from it: give the stage another version first"
  reason: Forbidden
{{- end -}}
