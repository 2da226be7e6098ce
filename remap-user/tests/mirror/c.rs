//! Asks the C compiler for the values of expressions.

use std::collections::BTreeMap;
use std::process::Command;

/// The value of each expression after `includes`; an expression that is an undefined macro is left out if `optional`.
pub fn values<'a>(
    includes: &str,
    expressions: impl IntoIterator<Item = &'a str>,
    optional: bool,
) -> BTreeMap<String, u64> {
    let mut program = format!("#include <stdio.h>\n{includes}\nint main(void) {{\n");
    for expression in expressions {
        let print = format!(
            "printf(\"%s=%llu\\n\", \"{expression}\", (unsigned long long)({expression}));"
        );
        program += &match optional {
            true => format!("#ifdef {expression}\n{print}\n#endif\n"),
            false => print + "\n",
        };
    }
    program += "return 0; }\n";
    run(&program)
        .lines()
        .map(|line| line.split_once('=').expect("expression=value"))
        .map(|(expression, value)| (expression.to_owned(), value.parse().unwrap()))
        .collect()
}

/// Compiles a program and gives what it prints.
fn run(program: &str) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let (source, binary) = (
        scratch.path().join("values.c"),
        scratch.path().join("values"),
    );
    std::fs::write(&source, program).unwrap();
    let mut cc = Command::new("cc");
    let cc = cc
        .args(["-Wall", "-Werror", "-o"])
        .arg(&binary)
        .arg(&source);
    let built = cc.status().expect("this test needs a C compiler named cc");
    assert!(built.success(), "the headers do not compile for user space");
    let output = Command::new(&binary).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
