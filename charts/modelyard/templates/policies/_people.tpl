{{/* Names of users in an object (who requested, registered or approved) must be the author's own. */}}
{{- define "modelyard.policies.requester" -}}
# requestedBy and registeredBy name the users whose approval does not count. A user who changes a stage's version or its requestedBy, declares a
# version or creates a TrainingRun that registers one, may write only their own name there. Both fields are optional (the CRD requires
# requestedBy with the gate approvals), and stay as long as the version does.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE], resources: [registeredmodels]}
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [CREATE], resources: [trainingruns]}
matchConditions:
# GitOps controllers apply what is in Git, whoever wrote it: policies.requesterAccounts.
- {name: names-only-itself, expression: '!(request.userInfo.username in {{ .Values.policies.requesterAccounts | toJson }})'}
variables:
- {name: who, expression: "request.userInfo.username"}
- {name: after, expression: "dyn(object.spec)"}
- {name: before, expression: "oldObject != null ? dyn(oldObject.spec) : dyn({})"}
- {name: new, expression: "variables.after.?stages.orValue({})"}
- {name: old, expression: "variables.before.?stages.orValue({})"}
- {name: asked, expression: "variables.new.filter(s, variables.new[s].?version.orValue(null) != variables.old[?s].?version.orValue(null))"}
- name: signed
  expression: >-
    variables.new.filter(s, variables.new[s].?requestedBy.orValue(null) != variables.old[?s].?requestedBy.orValue(null))
- name: strangers
  expression: >-
    (variables.asked + variables.signed.filter(s, !(s in variables.asked)))
    .filter(s, variables.new[s].?requestedBy.orValue(variables.who) != variables.who)
- name: removed
  expression: >-
    variables.signed.filter(s, !variables.new[s].?requestedBy.hasValue() && !(s in variables.asked)
    && variables.new[s].?version.orValue(null) != null)
# Declarations are immutable, so only new ones are checked; for a TrainingRun, the version that it registers.
- name: declared
  expression: >-
    variables.after.?versions.orValue({}).filter(v, variables.before.?versions[?v].orValue(null) != variables.after.versions[v]
    && variables.after.versions[v].?registeredBy.orValue(variables.who) != variables.who)
    + (variables.after.?register.?registeredBy.orValue(variables.who) != variables.who ? [variables.after.register.version] : [])
validations:
- expression: "variables.strangers.size() == 0"
  messageExpression: >-
    'requestedBy must be the user who changes the stage: write ' + variables.who + ' (stage ' + variables.strangers.join(', ') + ')'
  message: "requestedBy must be the user who changes the stage"
  reason: Forbidden
- expression: "variables.removed.size() == 0"
  messageExpression: >-
    'requestedBy cannot be removed while the version stays: it names the user whose approval does not count (stage '
    + variables.removed.join(', ') + ')'
  message: "requestedBy cannot be removed while the version stays"
  reason: Forbidden
- expression: "variables.declared.size() == 0"
  messageExpression: >-
    'registeredBy must be the user who declares the version: write ' + variables.who + ', or leave it out (' + variables.declared.join(', ') + ')'
  message: "registeredBy must be the user who declares the version"
  reason: Forbidden
{{- end -}}

{{- define "modelyard.policies.approval" -}}
# A ModelApproval has its creator's own name; the CRD makes it immutable. Approving a stage needs `approve` on registeredmodels/<stage>;
# approving for a named gate (spec.gate) needs `attest` on registeredmodels/<stage>/<gate>. Neither right implies the other.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE, DELETE], resources: [modelapprovals]}
matchConditions:
{{ include "modelyard.policies.notDeletedByACollector" . }}
# The operator deletes approvals that no stage can use any longer.
- name: not-deleted-by-the-operator
  expression: "request.operation != 'DELETE' || request.userInfo.username != '{{ include "modelyard.policies.operator" . }}'"
variables:
- {name: who, expression: "request.userInfo.username"}
# An update or a deletion is checked against the stored object.
- {name: approval, expression: "dyn(oldObject != null ? oldObject.spec : object.spec)"}
- {name: verb, expression: "has(variables.approval.gate) ? 'attest' : 'approve'"}
- {name: target, expression: "variables.approval.stage + (has(variables.approval.gate) ? '/' + variables.approval.gate : '')"}
- name: right
  expression: "authorizer.group('modelyard.io').resource('registeredmodels').namespace(request.namespace).name(variables.approval.model)"
- {name: owners, expression: "object == null ? [] : object.metadata.?ownerReferences.orValue([]).map(r, [r.apiVersion, r.kind, r.name, r.uid])"}
- name: ownersBefore
  expression: "oldObject == null ? [] : oldObject.metadata.?ownerReferences.orValue([]).map(r, [r.apiVersion, r.kind, r.name, r.uid])"
# With an owner that does not exist the approval would be deleted, and a finalizer would prevent its deletion.
- name: withdraws
  expression: >-
    request.operation == 'DELETE' || variables.who != 'system:serviceaccount:kube-system:generic-garbage-collector'
    && (variables.owners != variables.ownersBefore
    || object.metadata.?finalizers.orValue([]) != (oldObject == null ? [] : oldObject.metadata.?finalizers.orValue([])))
validations:
# The operator tests this one by a dry run, and recognizes its message (operator/modelyard/api/approvals.py).
- expression: "request.operation != 'CREATE' || variables.approval.approver == variables.who"
  messageExpression: "'spec.approver must be who creates the approval: write ' + variables.who"
  message: "spec.approver must be who creates the approval"
  reason: Forbidden
# The ClusterRole `edit` allows impersonating every service account of the namespace, and issuing tokens for it.
- expression: "request.operation != 'CREATE' || !variables.who.startsWith('system:serviceaccount:' + request.namespace + ':')"
  message: "a service account of this namespace cannot approve: every editor of the namespace can act as it. Use an account of another namespace"
  reason: Forbidden
# Such an account would approve whatever is committed: it acts for everyone who can write to its repository.
- expression: 'request.operation != "CREATE" || !(variables.who in {{ .Values.policies.requesterAccounts | toJson }})'
  message: "an account that may name others as requestedBy (policies.requesterAccounts) cannot approve: it acts for everyone who can write to its repository"
  reason: Forbidden
- expression: "request.operation != 'CREATE' || variables.right.subresource(variables.target).check(variables.verb).allowed()"
  messageExpression: >-
    variables.who + ' may not ' + variables.approval.decision.lowerAscii() + ' ' + variables.approval.version + ' for '
    + (has(variables.approval.gate) ? 'gate ' + variables.approval.gate + ' of ' : '') + 'stage ' + variables.approval.stage + ' of '
    + request.namespace + '/' + variables.approval.model + ': it needs the verb ' + variables.verb + ' on registeredmodels/' + variables.target
    + ' in group modelyard.io'
  message: "this needs the verb approve on registeredmodels/<stage>, or attest on registeredmodels/<stage>/<gate>, in group modelyard.io"
  reason: Forbidden
- expression: >-
    !variables.withdraws || variables.approval.approver == variables.who
    || variables.right.subresource(variables.approval.stage).check('override').allowed()
  messageExpression: >-
    variables.who + ' may not withdraw the approval of ' + variables.approval.approver + ' by '
    + (request.operation == 'DELETE' ? 'deleting it' : 'its ownerReferences or finalizers') + ': only ' + variables.approval.approver
    + ' may, or a user who has the verb override on registeredmodels/' + variables.approval.stage + ' in group modelyard.io'
  message: "only its approver may withdraw an approval, or a user who has the verb override on registeredmodels/<stage> in group modelyard.io"
  reason: Forbidden
{{- end -}}
