//! The limits of the process (`ulimit`), before a command needs what they refuse: an allocation that
//! fails ends the process without a reason.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::{Code, Error};

/// What a command needs.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// The command's name.
    command: &'static str,
    /// Open files.
    files: u64,
    /// Address space, MiB.
    memory: u64,
}

/// `trace`: an fd for each program, map and hook; the kernel's types and symbols while it attaches.
pub const TRACE: Need = Need {
    command: "trace",
    files: 512,
    memory: 512,
};

/// `serve` and `drill`.
pub const RESPOND: Need = Need {
    command: "serve and drill",
    files: 64,
    memory: 64,
};

impl Need {
    /// What is wrong with a limit on `resource` of `most`, if it is too low.
    fn refusal(self, resource: Resource, most: Option<u64>) -> Option<String> {
        let (name, option, need, unit, shift) = match resource {
            Resource::Nofile => ("open files (RLIMIT_NOFILE)", "-n", self.files, "", 0),
            Resource::Data => ("data memory (RLIMIT_DATA)", "-d", self.memory, " MiB", 20),
            _ => ("address space (RLIMIT_AS)", "-v", self.memory, " MiB", 20),
        };
        let most = most?;
        if most >> shift >= need {
            return None;
        }
        let asked = need << shift >> if shift == 0 { 0 } else { 10 };
        Some(format!(
            "the limit of {name} is {}{unit}, and {} needs {need}{unit}: raise it (`ulimit \
             {option} {asked}`)",
            most >> shift,
            self.command,
        ))
    }
}

/// Raises the soft limits to the hard ones where that is needed.
///
/// # Errors
/// If a hard limit is too low.
pub fn require(need: &Need) -> Result<(), Error> {
    for resource in [Resource::Nofile, Resource::As, Resource::Data] {
        let Rlimit { current, maximum } = getrlimit(resource);
        if need.refusal(resource, current).is_none() {
            continue;
        }
        let raised = setrlimit(
            resource,
            Rlimit {
                current: maximum,
                maximum,
            },
        );
        let most = if raised.is_ok() { maximum } else { current };
        if let Some(refusal) = need.refusal(resource, most) {
            return Err(Error::with_message(Code::Machine, refusal));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_limit_and_the_option_of_ulimit() {
        let refusal = TRACE.refusal(Resource::Nofile, Some(8)).unwrap();
        assert!(refusal.contains("is 8,") && refusal.contains("`ulimit -n 512`"));
        let refusal = TRACE.refusal(Resource::As, Some(100 << 20)).unwrap();
        assert!(refusal.contains("is 100 MiB") && refusal.contains("`ulimit -v 524288`"));
        let refusal = RESPOND
            .refusal(Resource::Data, Some((64 << 20) - 1))
            .unwrap();
        assert!(refusal.contains("`ulimit -d 65536`"), "{refusal}");
    }

    #[test]
    fn enough_is_not_refused() {
        assert_eq!(TRACE.refusal(Resource::Nofile, Some(512)), None);
        assert_eq!(TRACE.refusal(Resource::As, Some(512 << 20)), None);
        assert_eq!(TRACE.refusal(Resource::As, None), None, "no limit");
    }
}
