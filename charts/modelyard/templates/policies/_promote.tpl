{{/* Changing the version or the guarded fields of a stage, in any way, needs `promote` on that stage. */}}
{{- define "modelyard.policies.promote" -}}
# Changing the version or the guarded fields of a stage, in any way, needs `promote` on that stage. The variable `changes` lists what the
# request changes per stage. The operator is no exception: it never writes a spec.
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - {apiGroups: [modelyard.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE, DELETE], resources: [registeredmodels]}
matchConditions:
{{ include "modelyard.policies.notDeletedByACollector" . }}
variables:
# request.name is absent in a deletecollection. The object's own name is always set, also with generateName.
- {name: model, expression: "object != null ? object.metadata.name : oldObject.metadata.name"}
- {name: after, expression: "object != null ? dyn(object.spec) : dyn({})"}
- {name: before, expression: "oldObject != null ? dyn(oldObject.spec) : dyn({})"}
- {name: new, expression: "variables.after.?stages.orValue({})"}
- {name: old, expression: "variables.before.?stages.orValue({})"}
- {name: effective, expression: "oldObject != null ? dyn(oldObject).?status.?stages.orValue({}) : dyn({})"}
- {name: stages, expression: "variables.new.map(s, s) + variables.old.map(s, s).filter(s, !(s in variables.new))"}
# Stages that requested a version or the newest one before this request, or have an effective version (only the operator writes the status).
- name: held
  expression: >-
    variables.stages.filter(s, variables.old[?s].?version.orValue(null) != null || variables.old[?s].?autoPromote.orValue(null) != null
    || variables.effective[?s].?version.orValue(null) != null)
- name: stopped
  expression: >-
    variables.held.filter(s, variables.new[?s].?serving.?replicas.orValue(1) == 0 && !variables.new[?s].?serving.?autoscaling.hasValue()
    && (variables.old[?s].?serving.?replicas.orValue(1) != 0 || variables.old[?s].?serving.?autoscaling.hasValue()))
# Versions whose declaration is added, changed or removed. On CREATE the change of the stage itself is enough.
- name: redeclared
  expression: >-
    oldObject == null ? [] :
    variables.after.?versions.orValue({}).filter(v, variables.after.versions[v] != variables.before.?versions[?v].orValue(null))
    + variables.before.?versions.orValue({}).filter(v, !(v in variables.after.?versions.orValue({})))
# Fields of the spec that apply to every stage, with the defaults of the CRD.
- {name: defaults, expression: "{'drift': dyn('Revert')}"}
- name: everywhere
  expression: >-
    object == null ? [] : variables.defaults.filter(f,
    variables.after[?f].orValue(variables.defaults[f]) != variables.before[?f].orValue(variables.defaults[f]))
# Freezes that are added, changed or removed, and the stages that they apply to: all stages if a freeze names none.
- {name: frozenAfter, expression: "object != null ? variables.after.?freeze.orValue([]) : variables.before.?freeze.orValue([])"}
- {name: frozenBefore, expression: "variables.before.?freeze.orValue([])"}
- name: windows
  expression: >-
    variables.frozenAfter.filter(w, !(w in variables.frozenBefore)) + variables.frozenBefore.filter(w, !(w in variables.frozenAfter))
- {name: refrozen, expression: "variables.stages.filter(s, variables.windows.exists(w, w.?stages.orValue([]).size() == 0 || s in w.stages))"}
# dryRun affects the changes of all stages.
- name: planned
  expression: "object != null && variables.after.?dryRun.orValue(false) != variables.before.?dryRun.orValue(false)"
{{ include "modelyard.policies.owners" . }}
# Fields of a stage and of its `serving` that do not need `promote`, and the CRD's defaults of the others. A field that is added to the API
# later is guarded. `override` has its own policy; `reason` is only text for the history. null, absent and the default are equal.
- {name: free, expression: "['serving', 'override', 'reason']"}
- {name: freeOfServing, expression: "['replicas', 'autoscaling', 'resources', 'nodeSelector', 'tolerations']"}
- {name: stageDefaults, expression: "dyn({'attempt': 0})"}
- {name: servingDefaults, expression: "dyn({'runtime': {'workers': dyn(1), 'update': dyn('WithPromotion')}})"}
- name: changes
  expression: >-
    variables.stages.map(s, {'stage': dyn(s), 'fields': dyn(
    variables.new[?s].orValue({}).filter(f, !(f in variables.free)
    && variables.new[s][f] != variables.old[?s][?f].orValue(variables.stageDefaults[?f].orValue(null)))
    + variables.old[?s].orValue({}).filter(f, !(f in variables.free) && !(f in variables.new[?s].orValue({}))
    && variables.old[s][f] != variables.stageDefaults[?f].orValue(null) && variables.old[s][f] != null)
    + variables.new[?s].?serving.orValue({}).filter(f, !(f in variables.freeOfServing)
    && variables.new[s].serving[f] != variables.old[?s].?serving[?f].orValue(variables.servingDefaults[?f].orValue(null)))
    .map(f, 'serving.' + f)
    + variables.old[?s].?serving.orValue({}).filter(f, !(f in variables.freeOfServing) && !(f in variables.new[?s].?serving.orValue({}))
    && variables.old[s].serving[f] != variables.servingDefaults[?f].orValue(null)).map(f, 'serving.' + f)
    + variables.redeclared.filter(v, v in [?variables.new[?s].?version, ?variables.old[?s].?version, ?variables.effective[?s].?version])
    .map(v, 'versions.' + v)
    + (s in variables.stopped ? ['serving.replicas'] : []) + (s in variables.refrozen ? ['freeze'] : []) + (variables.planned ? ['dryRun'] : [])
    + (s in variables.held ? variables.everywhere + (variables.adopted ? ['ownerReferences'] : []) : []))}).filter(c, c.fields.size() > 0)
- {name: touched, expression: "variables.changes.map(c, c.stage)"}
- name: right
  expression: "authorizer.group('modelyard.io').resource('registeredmodels').namespace(request.namespace).name(variables.model)"
{{- include "modelyard.policies.mayPromote" . }}
validations:
- expression: "variables.touched.size() <= 16"
  messageExpression: >-
    'this request changes ' + string(variables.touched.size()) + ' stages of ' + request.namespace + '/' + variables.model
    + ': a request may change at most 16; split it'
  message: "a request may change at most 16 stages: split it"
- expression: >-
    {{ include "modelyard.policies.mayPromoteAll" . }}
  messageExpression: >-
    request.userInfo.username + (object == null
    ? ' may not delete ' + request.namespace + '/' + variables.model + ': ' + variables.touched.map(s, 'stage ' + s
    + (variables.effective[?s].?version.orValue(null) != null ? ' is at ' + variables.effective[s].version
    : variables.old[?s].?version.orValue(null) != null ? ' requests ' + variables.old[s].version
    : variables.old[?s].?autoPromote.orValue(null) != null ? ' takes the newest version' : ' is configured')).join(', ')
    : ' may not change ' + variables.changes.map(c, 'stage ' + c.stage + ' (' + c.fields.join(', ') + ')').join(', ')
    + ' of ' + request.namespace + '/' + variables.model)
    + ': it needs the verb promote on ' + {{ include "modelyard.policies.ofStages" "variables.touched" }} + ' in group modelyard.io'
  message: "this changes the version or guarded fields of stages: it needs the verb promote on registeredmodels/<stage> in group modelyard.io"
  reason: Forbidden
{{- end -}}
