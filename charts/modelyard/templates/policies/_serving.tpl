{{/* Objects that serve a stage: which accounts other than the operator may write them. */}}
{{- define "modelyard.policies.serving" -}}
# Objects that serve a stage. The objectSelector is applied to the object before and after the change (removing the label counts), and excludes
# all other pods of the cluster before any CEL is evaluated. Kubernetes' controllers and the kubelet are exempt by their groups. Other accounts
# may change what does not affect serving (status, finalizers, other labels and annotations: CNI plugins, schedulers, Argo CD). Deletions and
# evictions are not matched, so they are allowed: the operator replaces what was deleted.
# The right is checked for the model in the label modelyard.io/model, which the selectors of Service and Deployment contain.
failurePolicy: Fail
matchConstraints:
  objectSelector: {matchExpressions: [{key: modelyard.io/stage, operator: Exists}]}
  resourceRules:
  # */status can change labels and owners. pods/* includes ephemeralcontainers and resize. Bindings, evictions and exec have no labels and never match.
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/*, services, services/*]}
  # The pod template that was rolled out is kept in a ControllerRevision.
  - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [controllerrevisions]}
  - {apiGroups: [autoscaling], apiVersions: [v2], operations: [CREATE, UPDATE], resources: [horizontalpodautoscalers, horizontalpodautoscalers/status]}
  - {apiGroups: [policy], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [poddisruptionbudgets, poddisruptionbudgets/status]}
  - {apiGroups: [discovery.k8s.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [endpointslices]}
matchConditions:
# policies.servingAccounts extends the first list (VPA or KEDA outside kube-system). Nodes may update pods; a node never creates a pod of a stage.
- name: not-by-the-machinery
  expression: >-
    {{- include "modelyard.policies.notByTheMachinery" . | nindent 4 }}
    && !(request.operation == 'UPDATE' && 'system:nodes' in request.userInfo.?groups.orValue([]))
variables:
- {name: after, expression: "dyn(object)"}
- {name: before, expression: "oldObject == null ? dyn({}) : dyn(oldObject)"}
- {name: labels, expression: "variables.after.?metadata.?labels.orValue({})"}
- {name: labelsBefore, expression: "variables.before.?metadata.?labels.orValue({})"}
- name: relabelled
  expression: >-
    !sets.equivalent(
    variables.labels.filter(k, k.startsWith('modelyard.io/') || k == 'app.kubernetes.io/managed-by').map(k, k + '=' + variables.labels[k]),
    variables.labelsBefore.filter(k, k.startsWith('modelyard.io/') || k == 'app.kubernetes.io/managed-by').map(k, k + '=' + variables.labelsBefore[k]))
# Only the operator decides how a pod splits its requests. The annotation before the change counts only if the pod already served a stage.
- {name: rule, expression: "variables.after.metadata.?annotations[?'modelyard.io/traffic']"}
- name: ruleBefore
  expression: >-
    'modelyard.io/stage' in variables.labelsBefore ? variables.before.metadata.?annotations[?'modelyard.io/traffic'] : optional.none()
- name: harmless
  expression: >-
    oldObject != null && !variables.relabelled && variables.rule == variables.ruleBefore
    && ['spec', 'data', 'revision', 'endpoints', 'ports', 'addressType'].all(f, variables.after[?f] == variables.before[?f])
    && variables.after.metadata.?ownerReferences == variables.before.metadata.?ownerReferences
- name: served
  expression: >-
    (variables.relabelled ? [variables.labelsBefore, variables.labels] : [variables.labels]).filter(l, 'modelyard.io/stage' in l)
validations:
- expression: >-
    variables.harmless || variables.served.all(l, authorizer.group('modelyard.io').resource('registeredmodels').subresource(l['modelyard.io/stage'])
    .namespace(request.namespace).name(l[?'modelyard.io/model'].orValue('')).check('promote').allowed())
  messageExpression: >-
    request.userInfo.username + ' may not ' + (oldObject == null ? 'create' : 'change') + ' objects that serve stage '
    + variables.served.map(l, l['modelyard.io/stage'] + ' of ' + l[?'modelyard.io/model'].orValue('(no label modelyard.io/model)')).join(', ')
    + ': only the operator may, or a user who has the verb promote on '
    + {{ include "modelyard.policies.ofStages" "variables.served.map(l, l['modelyard.io/stage'])" }} + ' in group modelyard.io'
  message: "only the operator may change objects that serve a stage, or a user who has the verb promote on registeredmodels/<stage> in group modelyard.io"
  reason: Forbidden
# Without the annotation a pod answers all requests itself, so a user with `promote` may remove it, also while the operator is down.
- expression: "!variables.rule.hasValue() || variables.rule == variables.ruleBefore"
  message: "only the operator may set the annotation modelyard.io/traffic, by which a candidate gets a share of a stage's traffic"
  reason: Forbidden
{{- end -}}

{{- define "modelyard.policies.serving-workloads" -}}
# Workloads. Controllers in kube-system create pods for every user, so the pod template is checked where a user writes it. Without this
# policy, an unlabelled Deployment with the stage's labels in its template would receive production traffic. An objectSelector cannot select by
# a template, hence the matchCondition.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments, replicasets, statefulsets, daemonsets]}
  - {apiGroups: [batch], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [jobs, cronjobs]}
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [replicationcontrollers]}
  # Through the status, the owners of all of them can be changed, and the labels of all except Deployments.
  - apiGroups: [apps]
    apiVersions: [v1]
    operations: [UPDATE]
    resources: [deployments/status, replicasets/status, statefulsets/status, daemonsets/status]
  - {apiGroups: [batch], apiVersions: [v1], operations: [UPDATE], resources: [jobs/status, cronjobs/status]}
  - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [replicationcontrollers/status]}
matchConditions:
- name: not-by-the-machinery
  expression: >-
    {{- include "modelyard.policies.notByTheMachinery" . | nindent 4 }}
- name: of-a-stage
  expression: >-
    [dyn(object), dyn(oldObject)].exists(o, o != null
    && [o, o.spec.?template.orValue({}), o.spec.?jobTemplate.orValue({}), o.spec.?jobTemplate.?spec.?template.orValue({})]
    .exists(m, 'modelyard.io/stage' in m.?metadata.?labels.orValue({})))
variables:
- {name: after, expression: "dyn(object)"}
- {name: before, expression: "oldObject == null ? dyn({'spec': {}}) : dyn(oldObject)"}
# Labels of the object, its pods, its Jobs and their pods: before (0 to 3) and after (4 to 7).
- name: labels
  expression: >-
    [variables.before, variables.before.spec.?template.orValue({}), variables.before.spec.?jobTemplate.orValue({}),
    variables.before.spec.?jobTemplate.?spec.?template.orValue({}),
    variables.after, variables.after.spec.?template.orValue({}), variables.after.spec.?jobTemplate.orValue({}),
    variables.after.spec.?jobTemplate.?spec.?template.orValue({})].map(m, m.?metadata.?labels.orValue({}))
- name: harmless
  expression: >-
    oldObject != null && variables.after.spec == variables.before.spec
    && variables.after.metadata.?ownerReferences == variables.before.metadata.?ownerReferences
    && sets.equivalent(
    variables.labels[0].filter(k, k.startsWith('modelyard.io/') || k == 'app.kubernetes.io/managed-by').map(k, k + '=' + variables.labels[0][k]),
    variables.labels[4].filter(k, k.startsWith('modelyard.io/') || k == 'app.kubernetes.io/managed-by').map(k, k + '=' + variables.labels[4][k]))
- {name: served, expression: "variables.labels.filter(l, 'modelyard.io/stage' in l)"}
- name: names
  expression: "variables.served.map(l, l['modelyard.io/stage'] + ' of ' + l[?'modelyard.io/model'].orValue('(no label modelyard.io/model)'))"
- name: distinct
  expression: "[0, 1, 2, 3, 4, 5, 6, 7].filter(i, i < variables.names.size() && variables.names.indexOf(variables.names[i]) == i)"
validations:
- expression: >-
    variables.harmless
    || [variables.after.spec.?template, variables.after.spec.?jobTemplate.?spec.?template]
    .all(t, !t.?metadata.?annotations[?'modelyard.io/traffic'].hasValue())
  message: "pods must not be created with the annotation modelyard.io/traffic: only the operator sets it, on existing pods"
  reason: Forbidden
- expression: "variables.harmless || variables.distinct.size() <= 2"
  message: "an object and its pods must have the labels of one stage of one model"
  reason: Invalid
- expression: >-
    variables.harmless || variables.distinct.size() > 2 || variables.distinct.map(i, variables.served[i]).all(l,
    authorizer.group('modelyard.io').resource('registeredmodels').subresource(l['modelyard.io/stage'])
    .namespace(request.namespace).name(l[?'modelyard.io/model'].orValue('')).check('promote').allowed())
  messageExpression: >-
    request.userInfo.username + ' may not ' + (oldObject == null ? 'create' : 'change') + ' objects that serve stage '
    + variables.distinct.map(i, variables.names[i]).join(', ')
    + ': only the operator may, or a user who has the verb promote on '
    + {{ include "modelyard.policies.ofStages" "variables.distinct.map(i, variables.served[i]['modelyard.io/stage'])" }} + ' in group modelyard.io'
  message: "only the operator may change objects that serve a stage, or a user who has the verb promote on registeredmodels/<stage> in group modelyard.io"
  reason: Forbidden
{{- end -}}

{{- define "modelyard.policies.serving-scale" -}}
# kubectl scale, KEDA. The object of the subresource is a Scale, without labels. The API server sets its status.selector from the workload,
# whatever the request contains, and the selector has the stage and the model.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [apps], apiVersions: [v1], operations: [UPDATE], resources: [deployments/scale, replicasets/scale, statefulsets/scale]}
  - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [replicationcontrollers/scale]}
matchConditions:
- name: not-by-the-machinery
  expression: >-
    {{- include "modelyard.policies.notByTheMachinery" . | nindent 4 }}
- {name: of-a-stage, expression: "dyn(oldObject).?status.?selector.orValue('').contains('modelyard.io/stage=')"}
variables:
- {name: labels, expression: "dyn(oldObject).status.selector.split(',')"}
- {name: stage, expression: "variables.labels.filter(l, l.startsWith('modelyard.io/stage='))[0].split('=')[1]"}
- {name: model, expression: "variables.labels.filter(l, l.startsWith('modelyard.io/model=')).map(l, l.split('=')[1]).join('')"}
validations:
- expression: >-
    authorizer.group('modelyard.io').resource('registeredmodels').subresource(variables.stage).namespace(request.namespace).name(variables.model)
    .check('promote').allowed()
  messageExpression: >-
    request.userInfo.username + ' may not scale objects that serve stage ' + variables.stage + ' of ' + variables.model
    + ': it needs the verb promote on registeredmodels/' + variables.stage + ' in group modelyard.io'
  reason: Forbidden
{{- end -}}


{{- define "modelyard.policies.serving-evidence" -}}
# The ConfigMap with the analysis of a rollout. The operator trusts one whose controller is a RegisteredModel, which an objectSelector cannot
# match, hence the matchCondition; this is the only cost for other ConfigMaps of the cluster. No right allows a user to write evidence.
# Deletions are not matched: the analysis then starts again.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}
matchConditions:
- name: not-by-the-machinery
  expression: >-
    {{- include "modelyard.policies.notByTheMachinery" . | nindent 4 }}
- name: of-a-stage
  expression: >-
    [dyn(object), dyn(oldObject)].exists(o, o != null && ('modelyard.io/stage' in o.metadata.?labels.orValue({})
    || o.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false) && r.kind == 'RegisteredModel'
    && r.apiVersion.startsWith('modelyard.io/'))))
variables:
- {name: after, expression: "dyn(object)"}
- {name: before, expression: "oldObject == null ? dyn({'metadata': {}}) : dyn(oldObject)"}
# modelyard's labels and annotations: [before, after] of each.
- name: notes
  expression: >-
    ['labels', 'annotations'].map(f, [variables.before, variables.after].map(o, o.metadata[?f].orValue({}))
    .map(m, m.filter(k, k.startsWith('modelyard.io/') || k == 'app.kubernetes.io/managed-by').map(k, k + '=' + m[k])))
- name: harmless
  expression: >-
    oldObject != null && ['data', 'binaryData', 'immutable'].all(f, variables.after[?f] == variables.before[?f])
    && variables.after.metadata.?ownerReferences == variables.before.metadata.?ownerReferences
    && variables.notes.all(n, sets.equivalent(n[0], n[1]))
validations:
- expression: variables.harmless
  messageExpression: >-
    request.userInfo.username + ' may not ' + (oldObject == null ? 'create' : 'change') + ' the ConfigMap ' + variables.after.metadata.name
    + ': only the operator writes the analysis of a rollout. To restart the analysis, delete the ConfigMap. A ConfigMap of your own must not'
    + ' have the label modelyard.io/stage or a RegisteredModel as its controller'
  message: >-
    only the operator writes the analysis of a rollout: a ConfigMap of your own must not have the label modelyard.io/stage or a RegisteredModel
    as its controller
  reason: Forbidden
{{- end -}}
