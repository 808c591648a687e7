//! The support page says what the table of instructions says.

use minke_balenafile::{rules_to_markdown, table};

const PAGE: &str = include_str!("../../../docs/compat/balenafile.md");

#[test]
fn the_support_page_holds_the_table() {
    let table = table::to_markdown();
    assert!(
        PAGE.contains(&table),
        "put this into `docs/compat/balenafile.md`:\n{table}"
    );
}

#[test]
fn the_support_page_holds_the_rules() {
    let table = rules_to_markdown();
    assert!(
        PAGE.contains(&table),
        "put this into `docs/compat/balenafile.md`:\n{table}"
    );
}
