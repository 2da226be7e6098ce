//! The man page is the command line's own description, and stays so.

use std::{env, fs, path::Path};

use clap::CommandFactory as _;
use remap_user::cli::Cli;

/// One page: the command, then each of its subcommands.
fn page() -> String {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone())
        .title("REMAP")
        .section("8");
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    for subcommand in command.get_subcommands() {
        let name = format!("remap {}", subcommand.get_name());
        page.extend(format!(".SH \"{}\"\n", name.to_uppercase()).bytes());
        let man = clap_mangen::Man::new(subcommand.clone());
        man.render_synopsis_section(&mut page).unwrap();
        man.render_description_section(&mut page).unwrap();
        man.render_options_section(&mut page).unwrap();
    }
    page.extend(EXIT_STATUS.bytes());
    // The sections of a subcommand are parts of its own section here.
    let text = String::from_utf8(page).unwrap();
    let mut inside = false;
    let lines = text.lines().map(|line| {
        inside |= line.starts_with(".SH \"REMAP ");
        match line.strip_prefix(".SH ") {
            Some(title)
                if inside && !title.starts_with("\"REMAP ") && title != "\"EXIT STATUS\"" =>
            {
                format!(".SS {title}\n")
            }
            _ => format!("{line}\n"),
        }
    });
    lines.collect()
}

const EXIT_STATUS: &str = ".SH \"EXIT STATUS\"
0 ok, 1 failed, 2 the command line cannot be understood, 3 this machine cannot, 4 records were lost
(with \\-\\-fail\\-on\\-loss).
";

#[test]
fn the_man_page_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/man/remap.8");
    let page = page();
    if env::var_os("REMAP_BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/man/remap.8 is not what the command line says; run this test with REMAP_BLESS=1"
    );
}
