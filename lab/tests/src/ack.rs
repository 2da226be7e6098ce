//! The forms of the acknowledgement: each works on its encoding, and none on the other.

use anyhow::{Result, ensure};

use crate::rig::child::{remap, run};
use crate::rig::trace::Ack;
use crate::rig::{Group, Lab};
use crate::{ALL, BITMAP, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    let good = |form, groups, shown: &'static str, value, findings: &'static [&str]| {
        Test::new(format!("ack::{form}"), groups, move |lab: &mut Lab| {
            works(lab, form, shown, value, findings)
        })
    };
    vec![
        good("write0", BITMAP, "write", Some(0), &[]),
        // Who writes a 1 reads it back, and does not take it for a trigger. It is read all the same.
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
    let ((), told) = lab.watch(|lab| {
        let bdf = lab.bdf.to_string();
        let ended = run(remap(&["drill", &bdf, "--cycles", "3", "--ack", form]))?;
        ended.expect(0)?;
        let log = lab.driver.log()?;
        let expected = if shown == "write" { "write" } else { form };
        let forms = log.acks();
        ensure!(
            !forms.is_empty() && forms.iter().all(|(_, form)| *form == expected),
            "the driver saw other acks than {expected}: {forms:?}"
        );
        Ok(())
    })?;
    told.found(findings)?;
    told.complete()?;
    let ack = Ack {
        form: shown.to_owned(),
        value,
    };
    ensure!(
        told.cycles().count() == 3 * 6,
        "{} cycles",
        told.cycles().count()
    );
    for cycle in told.cycles() {
        ensure!(cycle.ack == ack, "{cycle:?}");
    }
    Ok(())
}

fn refused(lab: &mut Lab) -> Result<()> {
    let (forms, instead) = match lab.group {
        Group::Bitmap => (["unmask", "unmask-eventfd"], "write0"),
        Group::Vectors | Group::Qemu | Group::Cdev => (["write0", "write1"], "unmask"),
    };
    let bdf = lab.bdf.to_string();
    for command in ["drill", "serve"] {
        for form in forms {
            let ended = run(remap(&[command, &bdf, "--ack", form]))?;
            ended.says(2, &[form, lab.group.encoding(), instead])?;
        }
    }
    run(remap(&["drill", &bdf, "--ack", "nonsense"]))?
        .expect(2)
        .map(drop)
}
