//! An actor that holds sides of queues in a process of its own, and does with them what a test wants.

use procession::prelude::*;
use procession::queue::{AckReceiver, Delivery, Duplex, QueueError, Receiver, Sender};

use crate::processes::{Probe, ProbeApi, system, within};

#[derive(Actor, Default)]
#[actor(restart = "temporary")]
pub(crate) struct Porter {
    senders: Vec<Sender<u64>>,
    receivers: Vec<Receiver<u64>>,
    ack_receivers: Vec<AckReceiver<u64>>,
    deliveries: Vec<Delivery<u64>>,
    pipe: Option<Duplex<String, String>>,
}

#[handlers]
impl Porter {
    #[call]
    pub(crate) fn keep(&mut self, sender: Sender<u64>) {
        self.senders.push(sender);
    }

    /// The same, for a message that may never be handled.
    #[cast]
    pub(crate) fn keep_later(&mut self, sender: Sender<u64>) {
        self.senders.push(sender);
    }

    #[call]
    pub(crate) fn keep_receiver(&mut self, receiver: Receiver<u64>) {
        self.receivers.push(receiver);
    }

    #[call]
    pub(crate) fn keep_ack_receiver(&mut self, receiver: AckReceiver<u64>) {
        self.ack_receivers.push(receiver);
    }

    #[call]
    pub(crate) fn keep_pipe(&mut self, pipe: Duplex<String, String>) {
        self.pipe = Some(pipe);
    }

    /// Clones what it has so often.
    #[call]
    pub(crate) fn clone_senders(&mut self, times: usize) {
        let all: Vec<_> = (0..times).flat_map(|_| self.senders.clone()).collect();
        self.senders.extend(all);
    }

    #[call]
    pub(crate) fn give_sender(&mut self) -> Option<Sender<u64>> {
        self.senders.pop()
    }

    #[call]
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    #[call(timeout = "30s")]
    pub(crate) async fn send(&self, items: Vec<u64>) -> Result<(), Failure> {
        let sender = self.senders.first().ok_or(Failure::new("no sender"))?.clone();
        Ok(sender.send_all(items).await?)
    }

    /// What comes, up to the end.
    #[call(timeout = "30s")]
    pub(crate) async fn receive_all(&self) -> Result<Vec<u64>, Failure> {
        let receiver = self.receivers.first().ok_or(Failure::new("no receiver"))?;
        let mut all = Vec::new();
        while let Some(item) = receiver.recv().await? {
            all.push(item);
        }
        Ok(all)
    }

    /// Takes items and keeps them, not acknowledged.
    #[call(timeout = "30s")]
    pub(crate) async fn take(&mut self, items: usize) -> Result<Vec<(u64, u32)>, Failure> {
        let receiver = self.ack_receivers.first().ok_or(Failure::new("no receiver"))?;
        let mut taken = Vec::new();
        while taken.len() < items {
            let delivery = receiver.recv().await?.ok_or(Failure::new("the end"))?;
            taken.push((*delivery, delivery.attempt()));
            self.deliveries.push(delivery);
        }
        Ok(taken)
    }

    /// Acknowledges what it keeps, and says how many of them were still its own.
    #[call]
    pub(crate) async fn acknowledge(&mut self) -> Result<usize, Failure> {
        let mut done = 0;
        for delivery in self.deliveries.drain(..) {
            match delivery.ack().await {
                Ok(_) => done += 1,
                Err(QueueError::TooLate) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(done)
    }

    /// Drops what it keeps, on another thread.
    #[call]
    pub(crate) fn drop_elsewhere(&mut self) {
        let deliveries = std::mem::take(&mut self.deliveries);
        std::thread::spawn(move || drop(deliveries)).join().expect("a drop does not panic");
    }

    #[call(timeout = "30s")]
    pub(crate) async fn say(&self, text: String) -> Result<(), Failure> {
        let pipe = self.pipe.as_ref().ok_or(Failure::new("no pipe"))?;
        Ok(pipe.send(text).await?)
    }

    #[call(timeout = "30s")]
    pub(crate) async fn hear(&self) -> Result<Option<String>, Failure> {
        let pipe = self.pipe.as_ref().ok_or(Failure::new("no pipe"))?;
        Ok(pipe.recv().await?)
    }

    /// Waits at the gate: messages behind it stay undelivered.
    #[call(timeout = "1h")]
    pub(crate) async fn block(&self, probe: Address<Probe>) -> Result<(), CallError> {
        probe.pass("gate".to_owned()).no_timeout().await
    }
}

pub(crate) async fn porter(sup: &Supervisor, name: &str) -> Address<Porter> {
    within(sup.spawn::<Porter>(name, ())).await.expect("a porter")
}

/// Kills the process of the porter of this name, and waits until its supervisor knows.
pub(crate) async fn kill(sup: &Supervisor, porter: &Address<Porter>, name: &str) {
    let monitor = porter.ctl().monitor();
    let children = sup.children().await;
    let pid = children.iter().find(|child| child.name == name).and_then(|child| child.pid);
    system::kill(pid.expect("a process"));
    within(monitor).await;
}
