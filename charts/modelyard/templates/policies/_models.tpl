{{/* Policies that read the RegisteredModels of the request's namespace as parameters: one evaluation for each of them. */}}
{{- define "modelyard.policies.runs" -}}
# Creating or deleting a TrainingRun that registers the desired version of a stage, or that such a declared version comes from, needs `promote`
# on the stage. The operator's own rule (the first declaration counts) is still necessary, because parameters come from a watch and can be stale.
failurePolicy: Fail
paramKind: {apiVersion: modelyard.io/v1alpha1, kind: RegisteredModel}
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE, DELETE], resources: [trainingruns]}
matchConditions:
{{ include "modelyard.policies.notDeletedByACollector" . }}
variables:
- {name: run, expression: "dyn(object != null ? object : oldObject)"}
- {name: versions, expression: "dyn(params.spec).?versions.orValue({})"}
- {name: stages, expression: "dyn(params.spec).?stages.orValue({})"}
{{ include "modelyard.policies.owners" . }}
# spec.register is immutable, so an update matters only if it adds an owner reference.
- {name: matters, expression: "request.operation != 'UPDATE' || variables.owners.exists(r, !(r in variables.ownersBefore))"}
- name: claimed
  expression: >-
    variables.versions.filter(v, variables.versions[v].?trainingRun.orValue('') == variables.run.metadata.name)
    + (variables.run.spec.?register.?model.orValue('') == params.metadata.name ? [variables.run.spec.register.version] : [])
# These versions in the model's status, which only the operator writes.
- {name: known, expression: "dyn(params).?status.?versions.orValue([]).filter(e, e.name in variables.claimed)"}
- name: failed
  expression: >-
    !variables.run.?status.?registered.hasValue()
    && variables.run.?status.?conditions.orValue([]).exists(c, c.type == 'Succeeded' && c.status == 'False')
# Versions that this run is not and will not be, so that its deletion changes nothing: another declaration has the name, or the run failed.
# Not while the run is recorded as the holder of the name: a stage would wait for a holder that no longer exists.
- name: spare
  expression: >-
    request.operation != 'DELETE' ? [] : variables.claimed.filter(v,
    !variables.known.exists(e, e.name == v && (e.?heldBy.orValue('') == variables.run.metadata.uid
    || e.?digest.hasValue() && e.?trainingRun.orValue('') == variables.run.metadata.name))
    && (variables.failed || variables.known.exists(e, e.name == v && e.?trainingRun.orValue('') != variables.run.metadata.name
    && (e.?digest.hasValue() || e.?heldBy.hasValue()))))
- name: touched
  expression: >-
    !variables.matters ? [] : variables.stages.filter(s, variables.stages[s].?version.orValue('') in variables.claimed
    && !(variables.stages[s].version in variables.spare))
- name: right
  expression: "authorizer.group('modelyard.io').resource('registeredmodels').namespace(request.namespace).name(params.metadata.name)"
{{- include "modelyard.policies.mayPromote" . }}
validations:
- expression: >-
    {{ include "modelyard.policies.mayPromoteAll" . }}
  messageExpression: >-
    variables.touched.map(s, 'stage ' + s).join(', ') + ' of ' + params.metadata.name + ' requests the version that ' + variables.run.metadata.name
    + ' registers: ' + request.userInfo.username + ' needs the verb promote on '
    + {{ include "modelyard.policies.ofStages" "variables.touched" }} + ' in group modelyard.io'
  message: "a stage requests the version that this TrainingRun registers: this needs the verb promote on registeredmodels/<stage> in group modelyard.io"
  reason: Forbidden
{{- end -}}

{{- define "modelyard.policies.names" -}}
# Names, where labels do not help. Any editor may delete the stage's Service; an unlabelled Service created under its name would then receive
# its traffic. An EndpointSlice can add addresses to the Service, and an autoscaler scales the Deployment through kube-system's controller. So
# the names <model>-<stage> and <model>-<stage>-... are reserved for accounts that may promote the stage; so are names of Deployments that are
# shortened with a digest, after 28 characters (operator/modelyard/kube/names.py). Names of Services are long enough for model and stage.
# Ignore: if the CRD of paramKind is missing, Fail would reject every matched request of the cluster, also for kube-system's EndpointSlices.
# Therefore no input of a user may make an expression fail, for example by the number of authorizer checks: two per variable.
failurePolicy: Ignore
paramKind: {apiVersion: modelyard.io/v1alpha1, kind: RegisteredModel}
matchConstraints:
  resourceRules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [services]}
  - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}
  - {apiGroups: [policy], apiVersions: [v1], operations: [CREATE], resources: [poddisruptionbudgets]}
  - {apiGroups: [autoscaling], apiVersions: [v2], operations: [CREATE, UPDATE], resources: [horizontalpodautoscalers]}
  - {apiGroups: [discovery.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [endpointslices]}
matchConditions:
- name: not-by-the-machinery
  expression: >-
    {{- include "modelyard.policies.notByTheMachinery" . | nindent 4 }}
variables:
- {name: after, expression: "dyn(object)"}
- {name: stages, expression: "dyn(params.spec).?stages.orValue({})"}
- name: names
  expression: >-
    [dyn(variables.after.metadata.name), dyn(variables.after.?spec.?scaleTargetRef.?name.orValue('')),
    dyn(variables.after.metadata.?labels[?'kubernetes.io/service-name'].orValue(''))]
# For each stage, which of these names belong to it: 0 the object's name, 1 what it scales, 2 the Service of a slice.
- name: taken
  expression: >-
    variables.stages.map(s, {'stage': dyn(s), 'names': dyn([0, 1, 2].filter(i,
    (variables.names[i] + '-').startsWith(params.metadata.name + '-' + s + '-')
    || (params.metadata.name + '-' + s).size() > 28 && variables.names[i].matches('^' + ((params.metadata.name + '-' + s).substring(0, 28) + '$')
    .replace('-$', '$').replace('-$', '$').replace('$', '-[0-9a-f]{8}-[0-9a-f]{8}'))))}).filter(t, t.names.size() > 0)
- {name: touched, expression: "variables.taken.map(t, t.stage)"}
- {name: why, expression: "[0, 1, 2].filter(i, variables.taken.exists(t, i in t.names))"}
- name: right
  expression: "authorizer.group('modelyard.io').resource('registeredmodels').namespace(request.namespace).name(params.metadata.name)"
{{- include "modelyard.policies.mayPromote" . }}
validations:
- expression: >-
    {{ include "modelyard.policies.mayPromoteAll" . }}
  messageExpression: >-
    variables.why.map(i, [
    'names that begin with ' + variables.touched.map(s, params.metadata.name + '-' + s).join(', ') + ' are reserved for the objects of that stage',
    'it scales ' + variables.names[1] + ', which serves stage ' + variables.touched.join(', ') + ' of ' + params.metadata.name,
    'it adds addresses to the Service ' + variables.names[2] + ', which serves stage ' + variables.touched.join(', ') + ' of '
    + params.metadata.name][i]).join('; ')
    + ': ' + request.userInfo.username + ' needs the verb promote on ' + {{ include "modelyard.policies.ofStages" "variables.touched" }}
    + ' in group modelyard.io' + (1 in variables.why ? '. Or set serving.autoscaling of the stage instead'
    : variables.why == [0] ? '. Or choose another name' : '')
  message: "objects that serve a stage, and names that begin with <model>-<stage>, belong to the operator: choose another name or target"
  reason: Forbidden
{{- end -}}
