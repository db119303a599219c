//! Holding a child to its limits, by its job.

use windows_sys::Win32::System::JobObjects::{
    JOB_OBJECT_LIMIT_ACTIVE_PROCESS, JOB_OBJECT_LIMIT_AFFINITY, JOB_OBJECT_LIMIT_PRIORITY_CLASS,
    JOB_OBJECT_LIMIT_PROCESS_MEMORY, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
};
use windows_sys::Win32::System::Threading::{
    ABOVE_NORMAL_PRIORITY_CLASS, BELOW_NORMAL_PRIORITY_CLASS, GetActiveProcessorGroupCount, GetCurrentProcess,
    GetProcessAffinityMask, IDLE_PRIORITY_CLASS, NORMAL_PRIORITY_CLASS,
};

use crate::job::Job;
use crate::{Limit, Limits, Priority, Unenforced};

/// The system holds processes to whole pages.
const PAGE: u64 = 4096;

/// Gives a job that has no process yet its limits; says what its processes are not held to.
///
/// What the system has accepted is not yet what it goes by, so it is read back.
pub(crate) fn enforce(job: &Job, limits: &Limits) -> Vec<Unenforced> {
    let mut unenforced = Vec::new();
    let mut accepted = Vec::new();
    let mut information = Job::least_limits();
    for (limit, demand) in demands(limits) {
        let mut more = information;
        let set = demand.and_then(|demand| {
            demand.put_into(&mut more);
            job.set_limits(&more).map_err(|error| format!("the system refuses it: {error}"))?;
            Ok(demand)
        });
        match set {
            Ok(demand) => {
                information = more;
                accepted.push((limit, demand));
            }
            Err(why) => unenforced.push(Unenforced { limit, why }),
        }
    }
    if accepted.is_empty() && unenforced.is_empty() {
        return unenforced;
    }
    // One that was refused must not have cost the others, nor what every job has.
    let kept = job.set_limits(&information).and_then(|()| job.limits());
    for (limit, demand) in accepted {
        let why = match &kept {
            Ok(kept) if demand.is_in(kept) => continue,
            Ok(_) => {
                "the system has accepted it and does not keep it: what is read back is not what was set".to_owned()
            }
            Err(error) => format!("whether the system has it cannot be read: {error}"),
        };
        unenforced.push(Unenforced { limit, why });
    }
    unenforced
}

/// What a job is asked for.
#[derive(Debug, Clone, Copy)]
enum Demand {
    /// Bytes, in whole pages.
    Memory(usize),
    Processes(u32),
    /// A bit for each processor.
    Cpus(usize),
    /// A priority class.
    Priority(u32),
}

impl Demand {
    fn put_into(self, information: &mut JOBOBJECT_EXTENDED_LIMIT_INFORMATION) {
        let basic = &mut information.BasicLimitInformation;
        basic.LimitFlags |= self.flag();
        match self {
            Self::Memory(bytes) => information.ProcessMemoryLimit = bytes,
            Self::Processes(count) => basic.ActiveProcessLimit = count,
            Self::Cpus(mask) => basic.Affinity = mask,
            Self::Priority(class) => basic.PriorityClass = class,
        }
    }

    fn is_in(self, information: &JOBOBJECT_EXTENDED_LIMIT_INFORMATION) -> bool {
        let basic = &information.BasicLimitInformation;
        let is_same = match self {
            Self::Memory(bytes) => information.ProcessMemoryLimit == bytes,
            Self::Processes(count) => basic.ActiveProcessLimit == count,
            Self::Cpus(mask) => basic.Affinity == mask,
            Self::Priority(class) => basic.PriorityClass == class,
        };
        is_same && basic.LimitFlags & self.flag() != 0
    }

    fn flag(self) -> u32 {
        match self {
            Self::Memory(_) => JOB_OBJECT_LIMIT_PROCESS_MEMORY,
            Self::Processes(_) => JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
            Self::Cpus(_) => JOB_OBJECT_LIMIT_AFFINITY,
            Self::Priority(_) => JOB_OBJECT_LIMIT_PRIORITY_CLASS,
        }
    }
}

/// What was asked for, as a job has it, or why a job cannot have it.
fn demands(limits: &Limits) -> Vec<(Limit, Result<Demand, String>)> {
    let memory = limits.memory.map(|bytes| {
        let pages = usize::try_from(bytes / PAGE * PAGE);
        pages.map(Demand::Memory).map_err(|_| "it is more than a process can have".to_owned())
    });
    let processes = limits.processes.map(|count| Ok(Demand::Processes(count)));
    let cpus = limits.cpus.as_deref().map(|cpus| mask_of(cpus).map(Demand::Cpus));
    let priority = limits.priority.map(|priority| Ok(Demand::Priority(class_of(priority))));
    let demands =
        [(Limit::Memory, memory), (Limit::Processes, processes), (Limit::Cpus, cpus), (Limit::Priority, priority)];
    demands.into_iter().filter_map(|(limit, demand)| Some((limit, demand?))).collect()
}

fn mask_of(cpus: &[usize]) -> Result<usize, String> {
    // SAFETY: asks.
    let groups = unsafe { GetActiveProcessorGroupCount() };
    if groups > 1 {
        return Err(format!(
            "the processors of this system are in {groups} groups, and a job names those of one that it cannot choose"
        ));
    }
    let mut mask = 0;
    for cpu in cpus {
        let bit = u32::try_from(*cpu).ok().and_then(|cpu| 1_usize.checked_shl(cpu));
        mask |= bit.ok_or_else(|| format!("CPU {cpu} cannot be named: only those below {} can", usize::BITS))?;
    }
    let (mut own, mut all) = (0, 0);
    // SAFETY: asks of this process; the masks are written to where they may be.
    let told = unsafe { GetProcessAffinityMask(GetCurrentProcess(), &mut own, &mut all) };
    if told != 0 && mask & !all != 0 {
        return Err(format!("some of them are not among those that the system offers, {all:#b} as a mask"));
    }
    Ok(mask)
}

fn class_of(priority: Priority) -> u32 {
    match priority {
        Priority::Idle => IDLE_PRIORITY_CLASS,
        Priority::BelowNormal => BELOW_NORMAL_PRIORITY_CLASS,
        Priority::Normal => NORMAL_PRIORITY_CLASS,
        Priority::AboveNormal => ABOVE_NORMAL_PRIORITY_CLASS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_has_lost_or_changed_a_demand_is_found_out() {
        let demands = [
            (Demand::Memory(1 << 30), Demand::Memory(1 << 29)),
            (Demand::Processes(3), Demand::Processes(2)),
            (Demand::Cpus(0b110), Demand::Cpus(0b10)),
            (Demand::Priority(IDLE_PRIORITY_CLASS), Demand::Priority(NORMAL_PRIORITY_CLASS)),
        ];
        let mut all = Job::least_limits();
        for (demand, _) in demands {
            assert!(!demand.is_in(&all));
            demand.put_into(&mut all);
        }
        for (demand, other) in demands {
            assert!(demand.is_in(&all), "{demand:?}");
            let mut changed = all;
            other.put_into(&mut changed);
            assert!(!demand.is_in(&changed), "{demand:?}");
            let mut lost = all;
            lost.BasicLimitInformation.LimitFlags &= !demand.flag();
            assert!(!demand.is_in(&lost), "{demand:?}");
        }
        let least = Job::least_limits().BasicLimitInformation.LimitFlags;
        assert_eq!(all.BasicLimitInformation.LimitFlags & least, least);
    }

    #[test]
    fn memory_is_asked_for_in_whole_pages() {
        let limits = Limits { memory: Some((1 << 30) + 5), ..Limits::default() };
        assert!(matches!(demands(&limits)[..], [(Limit::Memory, Ok(Demand::Memory(bytes)))] if bytes == 1 << 30));
    }

    #[test]
    fn cpus_are_the_bits_of_a_mask() {
        let mask = mask_of(&[0]);
        // On a machine of so many processors none can be named.
        assert!(mask == Ok(1) || mask.is_err_and(|why| why.contains("groups")));
        assert!(mask_of(&[64]).is_err());
    }
}
