use super::*;

/// The same decisions, made from plain facts by looking through all children each time.
#[derive(Clone)]
pub(super) struct Naive {
    intensity: Intensity,
    pub(super) children: Vec<Kid>,
    restarts: Vec<Instant>,
    opening: bool,
    why: Option<DoneReason>,
    pub(super) done: bool,
    pub(super) out: Vec<Action>,
}

#[derive(Clone)]
pub(super) struct Kid {
    id: u64,
    restart: Restart,
    /// Part of an ordered start that has not got past it.
    queued: bool,
    pub(super) never_started: bool,
    pub(super) process: bool,
    pub(super) ready_at: Option<Instant>,
    /// The next failure to start is one more restart.
    pub(super) meant_to_run: bool,
    /// A failure to start takes the spec along.
    fresh: bool,
    attempt: u32,
    pub(super) due: Option<Instant>,
    pub(super) stop_asked: bool,
    /// After the stop: tell of this end,
    tell: Option<EndReason>,
    /// forget it,
    drop: bool,
    /// start it.
    start: bool,
}

pub(super) const RESET_AFTER: Duration = ms(400);

/// 100 ms, then 200 ms for ever; the first at once.
fn naive_delay(attempt: u32) -> Duration {
    ms([0, 0, 100, 200][attempt.min(3) as usize])
}

pub(super) fn backoff() -> Backoff {
    Backoff::new(ms(100), ms(200)).jitter(0.0).reset_after(RESET_AFTER)
}

impl Naive {
    pub(super) fn new(intensity: Intensity) -> Self {
        Self { intensity, children: vec![], restarts: vec![], opening: true, why: None, done: false, out: vec![] }
    }

    pub(super) fn add(&mut self, id: u64, restart: Restart) {
        self.children.push(Kid {
            id,
            restart,
            queued: self.opening,
            never_started: true,
            process: false,
            ready_at: None,
            meant_to_run: false,
            fresh: true,
            attempt: 0,
            due: None,
            stop_asked: false,
            tell: None,
            drop: false,
            start: false,
        });
    }

    pub(super) fn step(&mut self, now: Instant, op: Op) -> Result<(), Refused> {
        let at = |kids: &[Kid], child| kids.iter().position(|kid| kid.id == child);
        match op {
            Op::Add(..) | Op::Terminate(_) | Op::Restart(_) | Op::Remove(_) if self.why.is_some() => {
                return Err(Refused::Ending);
            }
            Op::Add(child, restart) => {
                if at(&self.children, child).is_some() {
                    return Err(Refused::Known);
                }
                self.add(child, restart);
                if !self.opening {
                    self.launch(self.children.len() - 1);
                }
            }
            Op::Terminate(child) | Op::Remove(child) => {
                let index = at(&self.children, child).ok_or(Refused::Unknown)?;
                let kid = &mut self.children[index];
                let removing = matches!(op, Op::Remove(_));
                let why = if removing { EndReason::Removed } else { EndReason::Terminated };
                if !kid.drop {
                    (kid.tell, kid.start, kid.drop) = (Some(why), false, removing);
                }
                if !kid.process {
                    self.bury(index);
                } else if !kid.stop_asked {
                    kid.stop_asked = true;
                    self.out.push(stop(child));
                }
            }
            Op::Restart(child) => {
                let index = at(&self.children, child).ok_or(Refused::Unknown)?;
                let kid = &mut self.children[index];
                if kid.stop_asked {
                    if kid.drop {
                        return Err(Refused::Unknown);
                    }
                    if kid.tell.is_some() {
                        return Err(Refused::Stopping);
                    }
                } else if kid.ready_at.is_some() {
                    (kid.stop_asked, kid.start) = (true, true);
                    self.out.push(stop(child));
                } else if !kid.process && !kid.never_started {
                    self.launch(index);
                }
            }
            Op::Shutdown => {
                if self.why.is_none() {
                    self.close(DoneReason::Shutdown);
                }
            }
            Op::Ready(child) => {
                let waits =
                    |kid: &&mut Kid| kid.id == child && kid.process && !kid.stop_asked && kid.ready_at.is_none();
                if let Some(kid) = self.children.iter_mut().find(waits) {
                    (kid.ready_at, kid.meant_to_run, kid.fresh) = (Some(now), true, false);
                }
            }
            Op::StartFailed(child) | Op::Exited(child, _) | Op::Stopped(child) => {
                let Some(index) = at(&self.children, child) else {
                    return Ok(());
                };
                let kid = &self.children[index];
                let possible = match op {
                    Op::StartFailed(_) => kid.ready_at.is_none() || kid.stop_asked,
                    Op::Stopped(_) => kid.stop_asked,
                    _ => true,
                };
                if !kid.process || !possible {
                    return Ok(());
                }
                let ending = if let Op::Exited(_, ending) = op { ending } else { Ending::Abnormal };
                self.ended(now, index, ending);
            }
            Op::Pass(_) | Op::Due => {
                let mut due: Vec<_> = self
                    .children
                    .iter()
                    .filter_map(|kid| Some((kid.due?, kid.id)))
                    .filter(|due| due.0 <= now)
                    .collect();
                due.sort();
                for (_, child) in due {
                    self.launch(at(&self.children, child).unwrap());
                }
                return Ok(());
            }
        }
        self.settle();
        Ok(())
    }

    fn launch(&mut self, index: usize) {
        let kid = &mut self.children[index];
        (kid.process, kid.never_started, kid.due, kid.ready_at) = (true, false, None, None);
        self.out.push(again(kid.id, kid.attempt));
    }

    /// There is no process of it and none is wanted.
    fn bury(&mut self, index: usize) {
        let kid = &mut self.children[index];
        self.out.push(ended(kid.id, kid.tell.take().unwrap()));
        (kid.due, kid.attempt, kid.never_started) = (None, 0, false);
        (kid.meant_to_run, kid.fresh, kid.stop_asked) = (false, false, false);
        if kid.drop || kid.restart == Restart::Temporary {
            self.children.remove(index);
        }
    }

    fn ended(&mut self, now: Instant, index: usize, ending: Ending) {
        let kid = &mut self.children[index];
        kid.process = false;
        let ready_at = kid.ready_at.take();
        if kid.stop_asked {
            kid.stop_asked = false;
            let start = std::mem::take(&mut kid.start);
            kid.attempt = 0;
            if kid.tell.is_some() {
                self.bury(index);
            }
            if start {
                self.launch(index);
            }
            return;
        }
        if self.why.is_some() {
            (kid.tell, kid.drop) = (Some(EndReason::Supervisor), true);
            return self.bury(index);
        }
        let failed_start = ready_at.is_none();
        if failed_start && !kid.meant_to_run {
            (kid.tell, kid.drop) = (Some(EndReason::StartFailed), kid.fresh);
            let failed = self.opening && kid.fresh;
            if failed {
                self.out.push(Action::StartFailed { id: id(kid.id) });
            }
            self.bury(index);
            if failed {
                self.close(DoneReason::StartFailed);
            }
            return;
        }
        let failure = failed_start || ending == Ending::Abnormal;
        let comes_back = match kid.restart {
            Restart::Permanent => true,
            Restart::Transient => failure,
            Restart::Temporary => false,
        };
        if !comes_back {
            kid.tell = Some(if failure { EndReason::Temporary } else { EndReason::Normal });
            return self.bury(index);
        }
        let within = self.intensity.within();
        let recent = self.restarts.iter().filter(|then| now.duration_since(**then) <= within).count();
        if recent >= self.intensity.max() as usize {
            let restarts = u32::try_from(recent).unwrap();
            self.out.push(Action::Escalated { id: id(kid.id), restarts, within });
            (kid.tell, kid.drop) = (Some(EndReason::Supervisor), true);
            self.bury(index);
            return self.close(DoneReason::Escalated);
        }
        self.restarts.push(now);
        if ready_at.is_some_and(|ready_at| now.duration_since(ready_at) >= RESET_AFTER) {
            kid.attempt = 0;
        }
        kid.attempt += 1;
        let delay = naive_delay(kid.attempt);
        self.out.push(Action::Restarting { id: id(kid.id), delay, attempt: kid.attempt });
        if delay.is_zero() {
            self.launch(index);
        } else {
            self.children[index].due = Some(now + delay);
        }
    }

    fn close(&mut self, why: DoneReason) {
        self.why = Some(why);
        for index in (0..self.children.len()).rev() {
            let kid = &mut self.children[index];
            if kid.process {
                (kid.start, kid.drop) = (false, true);
                kid.tell = Some(kid.tell.unwrap_or(EndReason::Supervisor));
            } else if kid.never_started || kid.due.is_some() {
                (kid.tell, kid.drop) = (Some(EndReason::Supervisor), true);
                self.bury(index);
            } else {
                self.children.remove(index);
            }
        }
    }

    pub(super) fn settle(&mut self) {
        if let Some(why) = self.why {
            match self.children.last_mut() {
                Some(kid) if !kid.stop_asked => {
                    kid.stop_asked = true;
                    self.out.push(stop(kid.id));
                }
                None if !self.done => {
                    self.done = true;
                    self.out.push(done(why));
                }
                _ => {}
            }
            return;
        }
        for index in 0..self.children.len() {
            let kid = &mut self.children[index];
            if kid.queued && kid.never_started {
                return self.launch(index);
            }
            if kid.queued && kid.process && kid.ready_at.is_none() && !kid.stop_asked {
                return;
            }
            kid.queued = false;
        }
        if self.opening {
            self.opening = false;
            self.out.push(Action::Ready);
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.children.iter().filter_map(|kid| kid.due).min()
    }
}
