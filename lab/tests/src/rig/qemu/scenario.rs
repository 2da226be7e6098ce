//! Scenarios of a virtual machine's migration: each begins with one that runs and ends with none.

use anyhow::{Result, ensure};
use serde_json::json;

use super::outcome::Outcome;
use super::stage::{Hosts, Pace, Stage, files, listen, migration_ended, pace, why};
use super::vm::{Begin, Vm};

/// A scenario.
pub struct Scenario {
    /// A short name, for files.
    pub name: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// The driver's parameters in it.
    pub parameters: &'static [(&'static str, &'static str)],
    /// The virtual machines in it, in the order of their starts.
    pub vms: &'static [&'static str],
    /// Plays it.
    pub play: fn(Stage<'_>) -> Result<Outcome>,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl Scenario {
    /// The files of the QEMUs' traces.
    pub fn logs(&self) -> impl Iterator<Item = String> {
        let log = |vm: &'static str| format!("{}.log", files(self.name, vm));
        self.vms.iter().copied().map(log)
    }

    /// Plays it on these devices.
    pub fn play(&'static self, hosts: &mut Hosts) -> Result<Outcome> {
        (self.play)(Stage::new(hosts, self.name, self.title, self.parameters)?)
    }
}

const LIMP: &[(&str, &str)] = &[("limp", "1")];
const TWO: &[&str] = &["first", "second"];
const THREE: &[&str] = &["first", "second", "third"];

/// There and back. The VMM does not use the remap IRQ, so that its mappings are revoked without a
/// trigger.
pub static LIMPING: Scenario = Scenario {
    name: "limping",
    title: "limp=1: what is mapped is revoked, and faults in again page by page",
    parameters: LIMP,
    vms: THREE,
    play: there_and_back,
};

/// The same without trapping, for the costs.
pub static UNTRAPPED: Scenario = Scenario {
    name: "untrapped",
    title: "whole=0 partial=0: nothing is trapped",
    parameters: &[("whole", "0"), ("partial", "0")],
    vms: THREE,
    play: there_and_back,
};

/// One migration, for a recording.
pub static ONE_WAY: Scenario = Scenario {
    name: "one-way",
    title: "limp=1, one migration",
    parameters: LIMP,
    vms: TWO,
    play: one_way,
};

/// Cancelled; then once more, completed.
pub static CANCELLED: Scenario = Scenario {
    name: "cancelled",
    title: "limp=1, cancelled half way",
    parameters: LIMP,
    vms: THREE,
    play: cancelled,
};

/// The destination is killed: the source continues.
pub static KILLED: Scenario = Scenario {
    name: "killed",
    title: "limp=1, the destination is killed half way",
    parameters: LIMP,
    vms: TWO,
    play: killed,
};

/// The driver refuses the state change: the migration fails, and the source continues.
pub static REFUSED: Scenario = Scenario {
    name: "refused",
    title: "limp=0: the driver refuses",
    parameters: &[("limp", "0")],
    vms: TWO,
    play: refused,
};

/// The driver loses the registers: the firmware must detect it.
pub static LOSSY: Scenario = Scenario {
    name: "lossy",
    title: "limp=1, and the driver loses the registers",
    parameters: LIMP,
    vms: TWO,
    play: lossy,
};

fn there_and_back(mut stage: Stage<'_>) -> Result<Outcome> {
    let mut first = stage.start("first", 0, Begin::Boot)?;
    stage.laps(&mut first)?.is_continuous()?;
    let mut second = stage.start("second", 1, Begin::Incoming)?;
    migrate(&mut stage, "there", &mut first, &mut second)?;
    stage.keep(first.quit()?);
    stage.laps(&mut second)?.is_continuous()?;
    let mut third = stage.start("third", 0, Begin::Incoming)?;
    migrate(&mut stage, "back", &mut second, &mut third)?;
    stage.keep(second.quit()?);
    stage.laps(&mut third)?.is_continuous()?;
    stage.keep(third.quit()?);
    stage.end()
}

fn one_way(mut stage: Stage<'_>) -> Result<Outcome> {
    let mut first = stage.start("first", 0, Begin::Boot)?;
    let mut second = stage.start("second", 1, Begin::Incoming)?;
    migrate(&mut stage, "there", &mut first, &mut second)?;
    stage.keep(first.quit()?);
    stage.keep(second.quit()?);
    stage.end()
}

fn migrate(
    stage: &mut Stage<'_>,
    way: &'static str,
    source: &mut Vm,
    destination: &mut Vm,
) -> Result<()> {
    let before = stage.faults(source)?;
    stage.begin(source, destination)?;
    stage.complete(way, source, destination, &before)
}

fn cancelled(mut stage: Stage<'_>) -> Result<Outcome> {
    let mut first = stage.start("first", 0, Begin::Boot)?;
    let mut second = stage.start("second", 1, Begin::Incoming)?;
    stage.begin(&mut first, &mut second)?;
    stage.note("the migration is cancelled")?;
    first.execute("migrate_cancel", json!({}))?;
    let status = first.wait("the migration's end", migration_ended)?;
    ensure!(status == "cancelled", "a cancelled migration {status}");
    stage.laps(&mut first)?.is_continuous()?;
    // Its migration stream ends: it exits by itself.
    stage.keep(second.ended(None)?);
    let mut third = stage.start("third", 1, Begin::Incoming)?;
    migrate(&mut stage, "again", &mut first, &mut third)?;
    stage.keep(first.quit()?);
    stage.laps(&mut third)?.is_continuous()?;
    stage.keep(third.quit()?);
    stage.end()
}

fn killed(mut stage: Stage<'_>) -> Result<Outcome> {
    let mut first = stage.start("first", 0, Begin::Boot)?;
    let mut second = stage.start("second", 1, Begin::Incoming)?;
    stage.begin(&mut first, &mut second)?;
    stage.note("the second is killed")?;
    stage.keep(second.kill()?);
    let status = first.wait("the migration's end", migration_ended)?;
    ensure!(
        status == "failed",
        "a migration to a killed destination {status}"
    );
    stage.laps(&mut first)?.is_continuous()?;
    stage.keep(first.quit()?);
    stage.end()
}

fn refused(mut stage: Stage<'_>) -> Result<Outcome> {
    let mut first = stage.start("first", 0, Begin::Boot)?;
    stage.laps(&mut first)?.is_continuous()?;
    let mut second = stage.start("second", 1, Begin::Incoming)?;
    let uri = listen(&mut second)?;
    // Without PRE_COPY the device's state is set only after the memory was sent.
    pace(&mut first, Pace::Free)?;
    stage.note("first → second")?;
    first.execute("migrate", json!({ "uri": uri }))?;
    let status = first.wait("the migration's end", migration_ended)?;
    ensure!(
        status == "failed",
        "a migration that the driver refuses {status}"
    );
    let reason = why(&mut first)?;
    stage.note(format!("QEMU: {reason}"))?;
    ensure!(
        !stage.hosts.precopy || reason.contains("No such device"),
        "QEMU gives another reason: {reason}"
    );
    stage.laps(&mut first)?.is_continuous()?;
    stage.keep(first.quit()?);
    stage.keep(second.kill()?);
    stage.end()
}

fn lossy(mut stage: Stage<'_>) -> Result<Outcome> {
    stage.driver(1).fault("lose-registers")?;
    let mut first = stage.start("first", 0, Begin::Boot)?;
    let mut second = stage.start("second", 1, Begin::Incoming)?;
    migrate(&mut stage, "there", &mut first, &mut second)?;
    stage.keep(first.quit()?);
    let report = stage.laps(&mut second)?;
    ensure!(
        report.is_continuous().is_err(),
        "the firmware did not detect the loss: {report:?}"
    );
    let later = stage.laps(&mut second)?;
    ensure!(
        later.differences == report.differences,
        "the registers differ again after the loss: {later:?}"
    );
    stage.keep(second.quit()?);
    stage.end()
}
