{{/* Data that is deleted in MLflow and S3 cannot be restored. */}}
{{- define "modelyard.policies.purge" -}}
# Deleting data in MLflow and S3 cannot be undone: requesting it, doing it, and an owner reference that may cause it need `purge`.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE, DELETE], resources: [experiments, trainingruns, registeredmodels]}
matchConditions:
{{ include "modelyard.policies.notDeletedByACollector" . }}
variables:
- {name: subject, expression: "object != null ? object.metadata.name : oldObject.metadata.name"}
- {name: after, expression: "object != null ? dyn(object.spec) : dyn({})"}
- {name: before, expression: "oldObject != null ? dyn(oldObject.spec) : dyn({})"}
- {name: purges, expression: "variables.after.?deletionPolicy.orValue('Retain') == 'Delete'"}
- {name: purged, expression: "variables.before.?deletionPolicy.orValue('Retain') == 'Delete'"}
{{ include "modelyard.policies.owners" . }}
# duration() in CEL has no unit for days, and fails beyond 292 years: six digits are a day or more in every unit.
- name: hasty
  expression: >-
    variables.after.?retention.orValue({}).filter(f, variables.after.retention[f] != variables.before.?retention[?f].orValue(null)
    && (string(variables.after.retention[f]).matches('^0+d$')
    || string(variables.after.retention[f]).matches('^0*[0-9]{1,5}[smh]$') && duration(variables.after.retention[f]) < duration('24h')))
- name: why
  expression: >-
    (object == null && variables.purged ? ['delete it'] : [])
    + (object != null && variables.purges && !variables.purged ? ['set deletionPolicy: Delete'] : [])
    + (object != null && variables.adopted && (variables.purges || variables.purged) ? ['change its ownerReferences'] : [])
    + variables.hasty.map(f, 'set retention.' + f + ' below a day')
validations:
- expression: >-
    variables.why.size() == 0 || authorizer.group('modelyard.io').resource(request.resource.resource)
    .namespace(request.namespace).name(variables.subject).check('purge').allowed()
  messageExpression: >-
    request.userInfo.username + ' may not ' + variables.why.join(', ') + ' (' + request.resource.resource + ' ' + request.namespace + '/'
    + variables.subject + '): its data in MLflow would be deleted too, which needs the verb purge on ' + request.resource.resource
    + ' in group modelyard.io' + (object == null ? '; with deletionPolicy: Retain the data would be kept' : '')
  message: "its data in MLflow would be deleted too: this needs the verb purge in group modelyard.io"
  reason: Forbidden
{{- end -}}

{{/*
modelyard.policies.promote checks who adds an owner reference. It does not help if the reference was added before the stage had a version: an
editor adds it to an empty model, a release manager promotes, the editor deletes the owner.
*/}}
{{- define "modelyard.policies.keep" -}}
# The garbage collector may not delete a model whose stages request a version, or an object whose deletion purges. It retries with back-off, and
# succeeds when the stages are cleared. Deleting a namespace still works (another account does it). A foreground deletion of the owner waits.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [DELETE], resources: [experiments, trainingruns, registeredmodels]}
matchConditions:
- {name: by-the-garbage-collector, expression: "request.userInfo.username == 'system:serviceaccount:kube-system:generic-garbage-collector'"}
variables:
- {name: stages, expression: "dyn(oldObject.spec).?stages.orValue({})"}
- name: held
  expression: >-
    variables.stages.filter(s, variables.stages[s].?version.orValue(null) != null || variables.stages[s].?autoPromote.orValue(null) != null)
validations:
- expression: "variables.held.size() == 0"
  messageExpression: >-
    oldObject.metadata.name + ' has versions for ' + variables.held.join(', ')
    + ': the garbage collector may not delete it. Clear its stages, or delete it yourself'
  reason: Forbidden
- expression: "dyn(oldObject.spec).?deletionPolicy.orValue('Retain') == 'Retain'"
  messageExpression: "oldObject.metadata.name + ' has deletionPolicy: Delete: the garbage collector may not delete it. Delete it yourself'"
  reason: Forbidden
{{- end -}}
