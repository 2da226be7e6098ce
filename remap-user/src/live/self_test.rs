//! Whether hooks fire: a call of this process must be seen by a program of each form.
//!
//! The kernel has two switches that silence hooks without an error: `kernel.ftrace_enabled`, and
//! `kprobes/enabled` in debugfs. A trace runs the test before it passes on what was traced until then,
//! so that nothing is concluded from what a silent hook did not report.

use std::{fs, io};

use aya::{Btf, Ebpf};
use remap_common::{counter::Counter, self_test::TOKEN};
use remap_core::model::{BlindCause, BlindHooks};
use rustix::event::{EventfdFlags, eventfd};

use super::{
    account::counters::CounterMap,
    error::one_line,
    hooks::{attach, attach::Link, row},
    silence::Silence,
};

/// The function of eventfd2(2).
const FUNCTION: &str = "__x64_sys_eventfd2";

/// How often the call is made before a form counts as silent. The kernel skips a kprobe while a task
/// that it has preempted is inside of bpf(2) on that CPU.
const TRIES: u32 = 20;

/// The programs of the test, attached.
#[derive(Default)]
pub struct SelfTest {
    traced: Option<Link>,
    probed: Option<Link>,
}

impl SelfTest {
    /// Attaches the programs. Of a form that this kernel does not have, nothing is tested.
    pub(super) fn attach(ebpf: &mut Ebpf, btf: &Btf) -> Self {
        Self {
            traced: attach_one(ebpf, "self_test_fentry", Some(btf)).ok(),
            probed: attach_one(ebpf, "self_test_kprobe", None).ok(),
        }
    }

    /// Makes the call. `None` if every form saw it.
    ///
    /// # Errors
    /// If no eventfd can be created.
    pub(super) fn run(&self, counters: &CounterMap) -> io::Result<Option<Silence>> {
        let mut silent = [self.traced.is_some(), self.probed.is_some()];
        let forms = [Counter::TestTraced, Counter::TestProbed];
        for _ in 0..TRIES {
            let before = forms.map(|form| counters.sum(form));
            eventfd(TOKEN, EventfdFlags::CLOEXEC)?;
            for ((silent, form), before) in silent.iter_mut().zip(forms).zip(before) {
                *silent &= counters.sum(form) == before;
            }
            if silent == [false, false] {
                return Ok(None);
            }
            std::thread::yield_now();
        }
        let hooks = match silent {
            [true, true] => BlindHooks::All,
            [true, false] => BlindHooks::Fentry,
            [false, _] => BlindHooks::Kprobe,
        };
        Ok(Some(Silence {
            hooks,
            cause: cause(),
        }))
    }
}

fn attach_one(ebpf: &mut Ebpf, name: &'static str, btf: Option<&Btf>) -> Result<Link, String> {
    let program = ebpf.program_mut(name);
    let program = program.ok_or_else(|| format!("the object has no program {name}"))?;
    let row = row::Program {
        name,
        when: row::When::Entry,
    };
    attach::program(program, &row, FUNCTION, btf).map_err(|error| one_line(&error))
}

/// What the kernel's switches say.
fn cause() -> BlindCause {
    let is_off = |path| fs::read_to_string(path).is_ok_and(|text| text.trim() == "0");
    if is_off("/proc/sys/kernel/ftrace_enabled") {
        BlindCause::FtraceDisabled
    } else if is_off("/sys/kernel/debug/kprobes/enabled") {
        BlindCause::KprobesDisarmed
    } else {
        BlindCause::Unknown
    }
}
