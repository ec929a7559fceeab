//! Who may hold a session at this computer, side by side with whom (PROTOCOL.md §12, `sessions_default`; errors `BUSY`,
//! `SESSIONS`, `SUPERSEDED`).
//!
//! One device at a time; one running program of it may hold several sessions; the same device from another run of the program
//! replaces all that the older run holds.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telerelay_wire::Code;
use telerelay_wire::ids::{DeviceId, Instance, PathId};
use tokio::sync::mpsc;

/// The open sessions of one computer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sessions(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    entries: Vec<Entry>,
    /// Nobody is let in any more, and this is why.
    closed: Option<Code>,
}

#[derive(Debug)]
struct Entry {
    path: PathId,
    client: DeviceId,
    /// From OPEN on: the program run that holds the session.
    instance: Option<Instance>,
    end: mpsc::Sender<Code>,
}

/// A path's place in the table, from its beginning to its end; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    sessions: Sessions,
    path: PathId,
    client: DeviceId,
    told: mpsc::Receiver<Code>,
}

impl Sessions {
    /// A path has begun; whether it may hold a session is told by [`Place::enter`].
    pub(crate) fn begin(&self, path: PathId, client: DeviceId) -> Place {
        let (end, told) = mpsc::channel(1);
        let entry = Entry {
            path,
            client,
            instance: None,
            end,
        };
        let mut table = self.lock();
        if let Some(code) = table.closed {
            entry.tell(code);
        }
        table.entries.push(entry);
        Place {
            sessions: self.clone(),
            path,
            client,
            told,
        }
    }

    /// Ends the session of a path, where there is one.
    pub(crate) fn end_path(&self, path: PathId, code: Code) {
        self.end_where(code, |entry| entry.path == path);
    }

    /// Ends the sessions of these devices.
    pub(crate) fn end_devices(&self, code: Code, is_meant: impl Fn(DeviceId) -> bool) {
        self.end_where(code, |entry| is_meant(entry.client));
    }

    /// Ends every session, and those that are still to begin.
    pub(crate) fn close(&self, code: Code) {
        self.lock().closed = Some(code);
        self.end_where(code, |_| true);
    }

    fn end_where(&self, code: Code, is_meant: impl Fn(&Entry) -> bool) {
        self.lock()
            .entries
            .iter()
            .filter(|entry| is_meant(entry))
            .for_each(|entry| entry.tell(code));
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// OPEN came: takes the session for this program run, ending what it replaces with `SUPERSEDED`. `limit` is the number that the rules
    /// allow. Errors: `BUSY` where another device is there, `SESSIONS` where the limit is reached.
    pub(crate) fn enter(&self, instance: Instance, limit: u16) -> Result<(), Code> {
        let mut table = self.sessions.lock();
        let entries = &mut table.entries;
        let holds = |entry: &&mut Entry| entry.instance.is_some() && entry.path != self.path;
        if entries
            .iter_mut()
            .filter(holds)
            .any(|entry| entry.client != self.client)
        {
            return Err(Code::Busy);
        }
        let mut side_by_side = 0;
        for entry in entries.iter_mut().filter(holds) {
            if entry.instance == Some(instance) {
                side_by_side += 1;
            } else {
                entry.instance = None;
                entry.tell(Code::Superseded);
            }
        }
        if side_by_side >= limit {
            return Err(Code::Sessions);
        }
        if let Some(own) = entries.iter_mut().find(|entry| entry.path == self.path) {
            own.instance = Some(instance);
        }
        Ok(())
    }

    /// Waits until the session is to end, and why.
    pub(crate) async fn told(&mut self) -> Code {
        match self.told.recv().await {
            Some(code) => code,
            // The sender stands in the table for as long as this place does.
            None => std::future::pending().await,
        }
    }
}

impl Entry {
    /// Tells the session to end. One whose channel is full was told already.
    fn tell(&self, code: Code) {
        let _told_before = self.end.try_send(code);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let entries = &mut self.sessions.lock().entries;
        entries.retain(|entry| entry.path != self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u16 = 2;

    fn enter(sessions: &Sessions, path: u8, client: u8, instance: u8) -> Result<Place, Code> {
        let place = sessions.begin(PathId([path; 16]), DeviceId([client; 32]));
        place.enter(Instance([instance; 16]), LIMIT)?;
        Ok(place)
    }

    fn told(place: &mut Place) -> Option<Code> {
        place.told.try_recv().ok()
    }

    #[test]
    fn one_program_run_holds_several_up_to_the_limit() {
        let sessions = Sessions::default();
        let first = enter(&sessions, 1, 1, 1).expect("the first");
        let _second = enter(&sessions, 2, 1, 1).expect("the second");
        assert_eq!(
            enter(&sessions, 3, 1, 1).expect_err("the limit"),
            Code::Sessions
        );
        drop(first);
        enter(&sessions, 3, 1, 1).expect("a place was given back");
    }

    #[test]
    fn another_device_is_told_busy_and_disturbs_nobody() {
        let sessions = Sessions::default();
        let mut place = enter(&sessions, 1, 1, 1).expect("the first");
        assert_eq!(
            enter(&sessions, 2, 2, 1).expect_err("another device"),
            Code::Busy
        );
        assert_eq!(told(&mut place), None);
    }

    #[test]
    fn another_run_of_the_same_device_replaces_all_of_the_older() {
        let sessions = Sessions::default();
        let mut older = [enter(&sessions, 1, 1, 1), enter(&sessions, 2, 1, 1)]
            .map(|entered| entered.expect("a place"));
        let mut newer = enter(&sessions, 3, 1, 2).expect("the newer run");
        for place in &mut older {
            assert_eq!(told(place), Some(Code::Superseded));
        }
        assert_eq!(told(&mut newer), None);
        assert_eq!(
            enter(&sessions, 4, 2, 1).expect_err("the newer run is there"),
            Code::Busy
        );
        drop((older, newer));
        enter(&sessions, 5, 2, 1).expect("nobody is there");
    }

    #[test]
    fn a_path_that_has_not_opened_holds_nothing_and_is_ended_all_the_same() {
        let sessions = Sessions::default();
        let mut opening = sessions.begin(PathId([1; 16]), DeviceId([1; 32]));
        enter(&sessions, 2, 2, 1).expect("nobody holds a session");
        sessions.end_path(PathId([1; 16]), Code::Cut);
        assert_eq!(told(&mut opening), Some(Code::Cut));
    }

    #[test]
    fn sessions_are_ended_by_path_and_by_device() {
        let sessions = Sessions::default();
        let mut places = [1, 2].map(|path| enter(&sessions, path, 1, 1).expect("a place"));
        sessions.end_path(PathId([2; 16]), Code::Cut);
        assert_eq!(places.each_mut().map(told), [None, Some(Code::Cut)]);
        sessions.end_devices(Code::Revoked, |device| device == DeviceId([1; 32]));
        assert_eq!(places.each_mut().map(told), [Some(Code::Revoked); 2]);
        sessions.close(Code::Absent);
        assert_eq!(places.each_mut().map(told), [Some(Code::Absent); 2]);
        let mut late = sessions.begin(PathId([3; 16]), DeviceId([1; 32]));
        assert_eq!(told(&mut late), Some(Code::Absent));
    }
}
