//! The forms of the ack: each works with its own encoding only.

use anyhow::{Result, ensure};
use remap_core::model::{Ack, AckForm, Rule};

use crate::rig::lab::Lab;
use crate::rig::process::{remap, run};
use crate::rig::suite::Group;
use crate::{ALL, BITMAP, Test, VECTORS};

pub fn tests() -> Vec<Test> {
    let good = |form, groups, shown, value, findings: &'static [Rule]| {
        Test::new(format!("ack::{form}"), groups, move |lab: &mut Lab| {
            works(lab, form, shown, value, findings)
        })
    };
    vec![
        good("write0", BITMAP, AckForm::Write, Some(0), &[]),
        // A user that writes 1 reads its own 1 back. It does not take that for a trigger; the trace shows it.
        good(
            "write1",
            BITMAP,
            AckForm::Write,
            Some(1),
            &[Rule::SelfTrigger],
        ),
        good("unmask", VECTORS, AckForm::Unmask, None, &[]),
        good("unmask-eventfd", VECTORS, AckForm::Unmask, Some(1), &[]),
        Test::new("ack::of_the_other_encoding_is_refused", ALL, refused),
    ]
}

fn works(
    lab: &mut Lab,
    form: &'static str,
    shown: AckForm,
    value: Option<u64>,
    findings: &[Rule],
) -> Result<()> {
    let ((), lines) = lab.watch(|lab| {
        lab.drill(&["--cycles", "3", "--ack", form])?.expect(0)?;
        let log = lab.driver.log()?;
        let expected = match shown {
            AckForm::Write => "write",
            _ => form,
        };
        let forms = log.acks();
        ensure!(
            !forms.is_empty() && forms.iter().all(|(_, form)| *form == expected),
            "the driver saw other acks than {expected}: {forms:?}"
        );
        Ok(())
    })?;
    lines.found(findings)?;
    lines.complete()?;
    let ack = Ack { form: shown, value };
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
