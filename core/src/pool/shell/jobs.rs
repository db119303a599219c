//! What many tasks have in common, kept once for all of them.

use std::sync::Arc;

use crate::pool::inbox::Job;

/// Which job a task is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JobKey(u32);

/// The jobs of tasks that have not ended. Counted here, since counting by each task's own `Arc` would have two threads
/// write the same word for each task.
#[derive(Default)]
pub(super) struct Jobs {
    places: Vec<Place>,
    free: Vec<u32>,
    /// The one that the last task was of.
    last: Option<JobKey>,
}

struct Place {
    job: Arc<Job>,
    tasks: usize,
}

impl Jobs {
    /// A task of this job begins to wait.
    pub(super) fn enter(&mut self, job: &Arc<Job>) -> JobKey {
        if let Some(last) = self.last
            && let Some(place) = self.places.get_mut(last.0 as usize)
            && Arc::ptr_eq(&place.job, job)
        {
            place.tasks += 1;
            return last;
        }
        let place = Place { job: job.clone(), tasks: 1 };
        let key = match self.free.pop() {
            Some(free) => {
                self.places[free as usize] = place;
                free
            }
            None => {
                self.places.push(place);
                (self.places.len() - 1) as u32
            }
        };
        self.last = Some(JobKey(key));
        JobKey(key)
    }

    pub(super) fn get(&self, key: JobKey) -> &Job {
        &self.places[key.0 as usize].job
    }

    /// So many tasks of this job have ended.
    pub(super) fn leave(&mut self, key: JobKey, tasks: usize) -> Arc<Job> {
        let place = &mut self.places[key.0 as usize];
        place.tasks -= tasks;
        let job = place.job.clone();
        if place.tasks == 0 {
            self.free.push(key.0);
            if self.last == Some(key) {
                self.last = None;
            }
        }
        job
    }
}
