//! The forms of the ack: each works with its own encoding only.

use anyhow::{Result, ensure};

use crate::rig::lab::Lab;
use crate::rig::line::Ack;
use crate::rig::process::{remap, run};
use crate::rig::suite::Group;
use crate::{ALL, BITMAP, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    let good = |form, groups, shown: &'static str, value, findings: &'static [&str]| {
        Test::new(format!("ack::{form}"), groups, move |lab: &mut Lab| {
            works(lab, form, shown, value, findings)
        })
    };
    vec![
        good("write0", BITMAP, "write", Some(0), &[]),
        // A user that writes 1 reads its own 1 back. It does not take that for a trigger; the trace shows it.
        good("write1", BITMAP, "write", Some(1), &["self-trigger"]),
        good("unmask", VECTORS, "unmask", None, &[]),
        good("unmask-eventfd", VECTORS, "unmask", Some(1), &[]),
        Test::new("ack::of_the_other_encoding_is_refused", ALL, refused),
    ]
}

fn works(
    lab: &mut Lab,
    form: &'static str,
    shown: &str,
    value: Option<u64>,
    findings: &[&str],
) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        lab.drill(&["--cycles", "3", "--ack", form])?.expect(0)?;
        let log = lab.driver.log()?;
        let expected = if shown == "write" { "write" } else { form };
        let forms = log.acks();
        ensure!(
            !forms.is_empty() && forms.iter().all(|(_, form)| *form == expected),
            "the driver saw other acks than {expected}: {forms:?}"
        );
        Ok(())
    })?;
    lines.found(findings)?;
    lines.complete()?;
    let ack = Ack {
        form: shown.to_owned(),
        value,
    };
    ensure!(
        lines.cycles().count() == 3 * 6,
        "{} cycles",
        lines.cycles().count()
    );
    for cycle in lines.cycles() {
        ensure!(cycle.ack == ack, "{cycle:?}");
    }
    Ok(())
}

fn refused(lab: &mut Lab) -> Result<()> {
    let (forms, instead) = match lab.group {
        Group::Bitmap => (["unmask", "unmask-eventfd"], "write0"),
        _ => (["write0", "write1"], "unmask"),
    };
    let bdf = lab.bdf.to_string();
    for command in ["drill", "serve"] {
        for form in forms {
            let ended = run(remap(&[command, &bdf, "--ack", form]))?;
            ended.fails(2, &[form, lab.group.encoding(), instead])?;
        }
    }
    lab.drill(&["--ack", "nonsense"])?.expect(2).map(drop)
}
