//! The files that a thread may still open: Landlock.

use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, NetPort,
    RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, Scope, path_beneath_rules,
};

/// The newest version whose rights are denied, where the kernel has it.
const VERSION: ABI = ABI::V6;

/// Whether this kernel has it.
pub fn is_available() -> bool {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::Execute);
    ruleset.and_then(Ruleset::create).is_ok()
}

/// Denies this thread, and those that it starts, everything but to read files in these places (a
/// folder, or a file), to remove files in these folders, and to connect to these TCP ports. Files that are
/// open stay so. Returns whether the kernel does that.
///
/// # Errors
/// If the kernel refuses the rules.
pub fn restrict(
    readable: &[PathBuf],
    removable: &[PathBuf],
    ports: &[u16],
) -> Result<bool, RulesetError> {
    let read = path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir);
    let remove = path_beneath_rules(removable, AccessFs::RemoveFile);
    let connect = ports.iter();
    let connect =
        connect.map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp)));
    let status: RestrictionStatus = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::from_all(VERSION))?
        .scope(Scope::from_all(VERSION))?
        .create()?
        .add_rules(read)?
        .add_rules(remove)?
        .add_rules(connect)?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::ErrorKind};

    use super::*;

    #[test]
    fn only_what_is_readable_can_be_opened() {
        let [inside, outside, scratch] = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let files = [&inside, &outside, &scratch].map(|folder| folder.path().join("file"));
        for file in &files {
            fs::write(file, "text").unwrap();
        }
        let readable = vec![inside.path().to_owned()];
        let removable = vec![scratch.path().to_owned()];
        let [inner, outer, left] = files;
        let thread = std::thread::spawn(move || {
            let available = is_available();
            let enforced = restrict(&readable, &removable, &[]).unwrap();
            assert_eq!(available, enforced);
            let denied = |result: std::io::Result<()>| {
                result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
            };
            let seen = [
                fs::read(&inner).is_err(),
                denied(fs::read(&outer).map(drop)),
                denied(fs::write(&inner, "")),
                denied(fs::write(&left, "")),
                denied(fs::remove_file(&inner)),
                fs::remove_file(&left).is_err(),
            ];
            (enforced, seen)
        });
        let (enforced, seen) = thread.join().unwrap();
        let expected = [false, enforced, enforced, enforced, enforced, false];
        assert_eq!(seen, expected);
    }
}
