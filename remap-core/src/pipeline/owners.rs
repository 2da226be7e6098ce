//! Names the virtual machines of the processes that use devices: an [`Body::Owner`] goes before
//! the first event of each.

use std::collections::HashMap;

use super::scope::acts;
use crate::event::{Body, Event};

/// Answers the name of the virtual machine that a process (a pid of the initial PID namespace)
/// runs; `None` if it runs none, or if that could not be read.
pub type VmNames = Box<dyn FnMut(u32) -> Option<String>>;

/// So many processes are known at a time; then all of them are looked up again.
const MOST: usize = 2048;

/// The processes that were looked up, and their virtual machines.
pub(super) struct Owners {
    resolve: VmNames,
    known: HashMap<u32, Option<String>>,
}

impl Owners {
    pub(super) fn new(resolve: VmNames) -> Self {
        Self {
            resolve,
            known: HashMap::new(),
        }
    }

    /// The event that names the virtual machine of the process of `event`, to go before it. The name
    /// is looked up when the record arrives, not when it is passed on: the process may have ended
    /// by then.
    pub(super) fn before(&mut self, event: &Event) -> Option<Event> {
        if !acts(event) {
            return None;
        }
        let pid = event.task.pid;
        // A process that opens a device may be another program by now, or another process.
        let opens = matches!(event.body, Body::Device(_) | Body::DeviceFile(_));
        if !opens && self.known.contains_key(&pid) {
            return None;
        }
        if self.known.len() >= MOST && !self.known.contains_key(&pid) {
            self.known.clear();
        }
        let vm = (self.resolve)(pid);
        let before = self.known.insert(pid, vm.clone());
        if before.flatten() == vm {
            return None;
        }
        Some(Event {
            body: Body::Owner { pid, vm },
            ..event.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{DeviceKey, DeviceSeen, Origin, Task, ZapCause, ZapStep};

    fn event(pid: u32, body: Body) -> Event {
        let task = Task {
            pid,
            tid: pid + 1,
            comm: "CPU 0/KVM".into(),
        };
        Event {
            time_ns: 7,
            cpu: 0,
            task,
            body,
        }
    }

    fn device() -> Body {
        Body::Device(DeviceSeen {
            device: DeviceKey(1),
            name: "0000:01:00.0".into(),
            driver: None,
            origin: Origin::Seen,
        })
    }

    fn zap() -> Body {
        Body::Zap(ZapStep {
            device: DeviceKey(1),
            regions: (0, 0),
            offset: 0,
            size: 1,
            cause: ZapCause::Unknown,
        })
    }

    fn answers(mut names: Vec<Option<&'static str>>) -> Owners {
        Owners::new(Box::new(move |_| names.remove(0).map(str::to_owned)))
    }

    fn vm(event: Option<Event>) -> Option<Option<String>> {
        event.map(|event| match event.body {
            Body::Owner { vm, .. } => vm,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn so_many_processes_are_known() {
        let mut owners = Owners::new(Box::new(|_| Some("web".to_owned())));
        let most = u32::try_from(MOST).unwrap();
        for pid in 0..most {
            assert!(owners.before(&event(pid, device())).is_some());
        }
        assert_eq!(owners.before(&event(0, device())), None);
        assert!(owners.before(&event(most, device())).is_some());
        assert_eq!(owners.known.len(), 1);
        assert!(owners.before(&event(0, device())).is_some(), "named again");
    }

    #[test]
    fn a_process_is_asked_about_once_and_again_when_it_opens() {
        let mut owners = answers(vec![None, Some("web"), Some("web"), None]);
        assert_eq!(owners.before(&event(5, zap())), None, "not its own doing");
        assert_eq!(owners.before(&event(5, device())), None);
        let named = owners.before(&event(5, device())).unwrap();
        assert_eq!((named.time_ns, named.task.pid), (7, 5));
        assert_eq!(vm(Some(named)), Some(Some("web".into())));
        assert_eq!(owners.before(&event(5, device())), None, "nothing new");
        let other_program = owners.before(&event(5, device()));
        assert_eq!(vm(other_program), Some(None));
    }
}
