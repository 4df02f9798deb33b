-- A sample for JobSubmitPlugins=lua: what a site may want of Lockstep's jobs. Slurm has one job_submit.lua; call
-- lockstep_submit from the site's own.
--
-- A job of `lockstep submit` asks for a signal and for requeueing, because that is how it hands over without losing a
-- request; a user who takes that away is told so at once.

local function lockstep_submit(job)
  local script = job.script or ""
  if not string.find(script, "made by `lockstep submit", 1, true) then
    return slurm.SUCCESS
  end
  if job.warn_signal == nil or job.warn_signal == 0 then
    slurm.log_user("lockstep: the job has no --signal; it could not hand over before its end")
    return slurm.ERROR
  end
  if job.requeue == 0 then
    slurm.log_user("lockstep: --no-requeue: a preempted service would be gone; leave it out")
    return slurm.ERROR
  end
  return slurm.SUCCESS
end

function slurm_job_submit(job, partitions, uid)
  return lockstep_submit(job)
end

function slurm_job_modify(job, record, partitions, uid)
  return slurm.SUCCESS
end

return slurm.SUCCESS
