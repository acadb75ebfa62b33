-- What Argo CD shows of an object of modelyard.io; the same for every kind. docs/conditions.md says what the conditions mean.
local function is(status, message)
  return { status = status, message = message }
end

local function told(condition)
  if condition.message == nil or condition.message == "" then
    return condition.reason
  end
  return condition.reason .. ": " .. condition.message
end

if obj.status == nil or obj.status.conditions == nil then
  return is("Progressing", "modelyard has not looked at it yet.")
end

-- What the conditions say of an earlier spec is no answer to this one.
local generation, observed = obj.metadata.generation, obj.status.observedGeneration
if generation ~= nil and (observed == nil or observed < generation) then
  return is("Progressing", "modelyard has not looked at this spec yet.")
end

local found = {}
for _, condition in ipairs(obj.status.conditions) do
  if condition.status == "True" then
    found[condition.type] = condition
  end
end

if found.Stalled ~= nil then
  return is("Degraded", told(found.Stalled))
end
if found.Reconciling ~= nil then
  -- What a promotion waits for before it starts is no work of modelyard's: a gate, another stage, people. The stable version serves.
  local waits = { GatesPending = true, WaitingForStage = true, ApprovalWanted = true, Frozen = true, Planned = true, RolloutPaused = true }
  if waits[found.Reconciling.reason] then
    return is("Suspended", told(found.Reconciling))
  end
  if found.Reconciling.reason == "Suspended" and obj.spec.suspend == true then
    return is("Suspended", told(found.Reconciling))
  end
  return is("Progressing", told(found.Reconciling))
end
if found.Ready ~= nil then
  return is("Healthy", told(found.Ready))
end
return is("Progressing", "modelyard has not come to an end yet.")
